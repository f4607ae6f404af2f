// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

/// A hash table of used codes that grows on demand, up to a limit, and gives memory back.
///
/// Only `init` allocates: memory comes in chunks that the caller makes, and empty chunks can be taken away. A new entry
/// is put into the first chunk with room, so that the last chunks become empty after a burst.
///
/// The index grows by one bucket per entry, which splits one old bucket (linear hashing), so no insertion ever waits
/// for a full rehash. The hash is Swift's SipHash with a random seed per process, so nobody can choose codes that fall
/// into the same bucket. Entries that expire in the same second form a generation; expired generations are removed a
/// few entries at a time.
struct UsedCodeTable: ~Copyable {
    /// An entry of 36 bytes.
    fileprivate struct Entry {
        // The address as four words, so that no padding is needed.
        let address: (UInt32, UInt32, UInt32, UInt32)
        let isn: UInt32
        let key: UInt32
        /// The second of uptime at which it expires; 0 if the place is free.
        var deadline: UInt32
        /// The next entry of the bucket, or of the free list.
        var chained: UInt32
        /// The next entry of the generation.
        var following: UInt32

        init(_ code: UsedCode, deadline: UInt32) {
            let address = code.handshake.clientAddress
            self.address = (
                UInt32(truncatingIfNeeded: address.high >> 32), UInt32(truncatingIfNeeded: address.high),
                UInt32(truncatingIfNeeded: address.low >> 32), UInt32(truncatingIfNeeded: address.low)
            )
            isn = code.handshake.clientISN
            key = code.key.number
            self.deadline = deadline
            (chained, following) = (none, none)
        }

        var code: UsedCode {
            let high = UInt64(address.0) << 32 | UInt64(address.1)
            let low = UInt64(address.2) << 32 | UInt64(address.3)
            return UsedCode(
                handshake: Handshake(clientAddress: IPAddress(high: high, low: low), clientISN: isn), key: KeyID(key))
        }
    }

    /// A block of memory for entries.
    struct Chunk: Sendable {
        fileprivate var entries: [Entry] = []
        /// The first place that was used and is free again.
        fileprivate var free = none
        fileprivate var count = 0

        /// Creates a chunk and reserves its memory, which is not touched until it is used.
        init(places: Int) { entries.reserveCapacity(places) }
    }

    /// The memory for one entry and its bucket, in bytes.
    static let bytesPerEntry = MemoryLayout<Entry>.stride + MemoryLayout<UInt32>.stride
    /// The number of places per chunk, unless the table is limited to fewer.
    private static let largestChunk = 65_536
    /// The number of chunks kept free: more places than can be used up before `wantsChunk` is checked again.
    private static let spareChunks = 2
    /// The initial number of buckets.
    private static let fewestBuckets = 1024
    /// The index is reallocated when at most the first number of buckets is in use and at least the second once was.
    private static let (fewBuckets, manyBuckets) = (16_384, 65_536)
    /// The number of generations; more than the seconds that an entry lives.
    private static let generations = 256

    /// The maximum number of entries.
    let capacity: Int
    /// The number of entries, including expired ones that have not been removed yet.
    private(set) var count = 0
    /// The number of places per chunk: a power of two.
    let chunkPlaces: Int
    private let shift: UInt32
    private var chunks: [Chunk] = []
    /// The index of a chunk before which all chunks are full.
    private var lowest = 0

    private var buckets: [UInt32] = []
    /// The next power of two of buckets that the index is growing to, less one.
    private var mask: Int
    /// The largest number of buckets since the memory of the index was last given back.
    private var touchedBuckets: Int

    /// The first entry of each generation, by its second modulo the number of generations.
    private var wheel = [UInt32](repeating: none, count: generations)
    /// The rest of the generation that is being swept.
    private var draining = none
    /// The second up to which all generations have been swept.
    private var swept: UInt32 = 0

    /// Creates a table and reserves memory for the first entries.
    ///
    /// - Parameter capacity: The maximum number of entries: 1...2^30; other values trap.
    init(capacity: Int) {
        precondition(capacity >= 1 && capacity <= 1 << 30)
        self.capacity = capacity
        let powerOfTwo = 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
        chunkPlaces = min(powerOfTwo, Self.largestChunk)
        shift = UInt32(chunkPlaces.trailingZeroBitCount)
        chunks.reserveCapacity((capacity + chunkPlaces - 1) / chunkPlaces)
        let bucketCount = min(powerOfTwo, Self.fewestBuckets)
        buckets.reserveCapacity(max(capacity, bucketCount))
        buckets.append(contentsOf: repeatElement(none, count: bucketCount))
        (mask, touchedBuckets) = (bucketCount - 1, bucketCount)
        while wantsChunk { chunks.append(Chunk(places: chunkPlaces)) }
    }

    /// Converts a deadline from milliseconds to seconds, rounding up.
    private static func second(ofEnd uptime: UInt64) -> UInt32 {
        UInt32(clamping: uptime / 1000 + (uptime % 1000 == 0 ? 0 : 1))
    }

    private subscript(_ index: UInt32) -> Entry {
        get { chunks[Int(index >> shift)].entries[Int(index) & (chunkPlaces - 1)] }
        _modify { yield &chunks[Int(index >> shift)].entries[Int(index) & (chunkPlaces - 1)] }
    }

    // MARK: Entries

    /// Whether there is a place for one more entry.
    var hasRoom: Bool { count < capacity && count < chunks.count << Int(shift) }

    /// Finds the place of a code; its entry may have expired.
    ///
    /// - Returns: The place, valid until something is removed; nil if the code is not in the table.
    func find(_ code: UsedCode) -> UInt32? {
        let sought = Entry(code, deadline: 0)
        var index = buckets[bucket(of: code)]
        while index != none {
            let entry = self[index]
            if entry.isn == sought.isn, entry.key == sought.key, entry.address == sought.address { return index }
            index = entry.chained
        }
        return nil
    }

    /// Returns whether an entry has not expired.
    func isLive(_ place: UInt32, at uptime: UInt64) -> Bool { UInt64(self[place].deadline) * 1000 > uptime }

    /// Inserts a code that is not in the table; there must be room.
    ///
    /// - Parameters:
    ///   - code: The code.
    ///   - end: When it expires, in milliseconds of uptime; rounded up to a second.
    mutating func insert(_ code: UsedCode, until end: UInt64) {
        let index = takePlace(Entry(code, deadline: Self.second(ofEnd: end)))
        count += 1
        if count > buckets.count, buckets.count < capacity { divideBucket() }
        let bucket = bucket(of: code)
        self[index].chained = buckets[bucket]
        buckets[bucket] = index
        joinGeneration(index)
    }

    /// Extends the life of an entry; never shortens it.
    mutating func renew(_ place: UInt32, until end: UInt64) {
        // It moves to its new generation when its old one is swept.
        self[place].deadline = max(self[place].deadline, Self.second(ofEnd: end))
    }

    /// Removes expired entries, looking at a limited number of entries.
    ///
    /// - Parameters:
    ///   - uptime: The current time.
    ///   - limit: The maximum number of entries to look at.
    ///   - forget: Receives the owner of each removed entry.
    /// - Returns: Whether all expired entries have been removed.
    mutating func removeExpired(at uptime: UInt64, atMost limit: Int, _ forget: (KeyID) -> Void) -> Bool {
        let second = UInt32(clamping: uptime / 1000)
        // Each generation is swept at most once, however long ago the last sweep was.
        swept = max(swept, second - min(second, UInt32(Self.generations)))
        var left = limit
        while draining != none || swept < second {
            if draining == none {
                swept += 1
                let spoke = Int(swept) % Self.generations
                draining = wheel[spoke]
                wheel[spoke] = none
            }
            while draining != none {
                guard left > 0 else { return false }
                left -= 1
                let index = draining
                draining = self[index].following
                if self[index].deadline > second {
                    joinGeneration(index)
                } else {
                    forget(KeyID(self[index].key))
                    remove(index)
                }
            }
        }
        return true
    }

    /// Calls `body` for each unexpired entry in a range of places.
    ///
    /// An entry never moves to another place while it is in the table.
    ///
    /// - Parameters:
    ///   - places: Any range; the part outside the table is ignored.
    ///   - uptime: The current time.
    ///   - body: Receives each code and its deadline in milliseconds of uptime.
    /// - Returns: Whether there are places beyond the range.
    func forEach(in places: Range<Int>, at uptime: UInt64, _ body: (_ code: UsedCode, _ deadline: UInt64) -> Void)
        -> Bool
    {
        let all = chunks.count << Int(shift)
        for place in places.clamped(to: 0..<all) {
            let (chunk, offset) = (place >> Int(shift), place & (chunkPlaces - 1))
            guard offset < chunks[chunk].entries.count else { continue }
            let entry = chunks[chunk].entries[offset]
            let deadline = UInt64(entry.deadline) * 1000
            if deadline > uptime { body(entry.code, deadline) }
        }
        return places.upperBound < all
    }

    private mutating func takePlace(_ entry: Entry) -> UInt32 {
        while chunks[lowest].count == chunkPlaces { lowest += 1 }
        chunks[lowest].count += 1
        let offset: UInt32
        if chunks[lowest].free == none {
            offset = UInt32(chunks[lowest].entries.count)
            chunks[lowest].entries.append(entry)
        } else {
            offset = chunks[lowest].free
            chunks[lowest].free = chunks[lowest].entries[Int(offset)].chained
            chunks[lowest].entries[Int(offset)] = entry
        }
        return UInt32(lowest) << shift | offset
    }

    /// Removes an entry that has been unlinked from its generation.
    private mutating func remove(_ index: UInt32) {
        let bucket = bucket(of: self[index].code)
        if buckets[bucket] == index {
            buckets[bucket] = self[index].chained
        } else {
            var before = buckets[bucket]
            while self[before].chained != index { before = self[before].chained }
            self[before].chained = self[index].chained
        }
        let chunk = Int(index >> shift)
        self[index].deadline = 0
        self[index].chained = chunks[chunk].free
        chunks[chunk].free = index & UInt32(chunkPlaces - 1)
        chunks[chunk].count -= 1
        lowest = min(lowest, chunk)
        count -= 1
    }

    private mutating func joinGeneration(_ index: UInt32) {
        let spoke = Int(self[index].deadline) % Self.generations
        self[index].following = wheel[spoke]
        wheel[spoke] = index
    }

    // MARK: The index

    private func bucket(of code: UsedCode) -> Int {
        let place = code.hashValue & mask
        return place < buckets.count ? place : place & mask >> 1
    }

    /// Adds a bucket, moving some entries of an old one to it.
    private mutating func divideBucket() {
        let new = buckets.count
        if new > mask { mask = mask << 1 | 1 }
        let old = new & mask >> 1
        var index = buckets[old]
        buckets[old] = none
        buckets.append(none)
        while index != none {
            let next = self[index].chained
            let bucket = bucket(of: self[index].code)
            self[index].chained = buckets[bucket]
            buckets[bucket] = index
            index = next
        }
        touchedBuckets = max(touchedBuckets, buckets.count)
    }

    /// Removes up to `limit` buckets while there are more than four times as many as entries.
    ///
    /// - Parameter limit: The maximum number of buckets to remove.
    /// - Returns: Whether no more need to be removed.
    mutating func joinBuckets(atMost limit: Int) -> Bool {
        for _ in 0..<limit {
            guard buckets.count > Self.fewestBuckets, count < buckets.count / 4 else { return true }
            let last = buckets.removeLast()
            let other = buckets.count & mask >> 1
            if last != none {
                var end = last
                while self[end].chained != none { end = self[end].chained }
                self[end].chained = buckets[other]
                buckets[other] = last
            }
            if buckets.count == (mask + 1) >> 1 { mask >>= 1 }
        }
        return false
    }

    // MARK: Memory

    /// The memory reserved for entries and index, in bytes.
    var memory: Int {
        chunks.count * chunkPlaces * MemoryLayout<Entry>.stride + buckets.capacity * MemoryLayout<UInt32>.stride
    }

    /// The part of `memory` that was touched since it was last given back, in bytes.
    var touchedMemory: Int {
        let entries = chunks.reduce(0) { $0 + $1.entries.count }
        return entries * MemoryLayout<Entry>.stride + touchedBuckets * MemoryLayout<UInt32>.stride
    }

    /// Whether one more chunk should be added.
    var wantsChunk: Bool {
        let places = chunks.count << Int(shift)
        return places < capacity && places - count < Self.spareChunks << Int(shift)
    }

    /// Adds a new chunk; only to be called while `wantsChunk` is true.
    mutating func add(_ chunk: consuming Chunk) { chunks.append(chunk) }

    /// Removes and returns the last chunk if it is empty and not needed as a spare.
    mutating func takeSurplus() -> Chunk? {
        guard let last = chunks.last, last.count == 0, chunks.count > Self.spareChunks,
            (chunks.count - 1) << Int(shift) - count > Self.spareChunks << Int(shift)
        else { return nil }
        lowest = min(lowest, chunks.count - 1)
        return chunks.removeLast()
    }

    /// Whether one of the empty chunks at the end was used before, so that its memory should be given back.
    var hasUsedEmptyChunk: Bool { usedEmptyChunk != nil }

    private var usedEmptyChunk: Int? {
        var index = chunks.count - 1
        while index >= 0, chunks[index].count == 0 {
            if !chunks[index].entries.isEmpty { return index }
            index -= 1
        }
        return nil
    }

    /// Swaps an empty chunk that was used before for a new one.
    mutating func exchange(_ chunk: inout Chunk) {
        guard let index = usedEmptyChunk else { return }
        swap(&chunks[index], &chunk)
    }

    /// The capacity of a new index to replace one that was much larger for a while; nil if no replacement is needed.
    var wantedIndexCapacity: Int? {
        touchedBuckets >= Self.manyBuckets && buckets.count <= Self.fewBuckets ? capacity : nil
    }

    /// Moves the index to other memory, which must be empty and large enough.
    mutating func exchangeIndex(_ memory: inout [UInt32]) {
        guard wantedIndexCapacity != nil else { return }
        memory.append(contentsOf: buckets)
        swap(&memory, &buckets)
        touchedBuckets = buckets.count
    }
}

/// The index that means "no entry".
private let none = UInt32.max
