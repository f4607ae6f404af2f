// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

/// A hash table of used codes that grows with need, up to a bound, and gives memory back.
///
/// Nothing here allocates but `init`: room comes in chunks that others make, and those that are empty again can be
/// taken away. A new entry is put in the first chunk with room, so that the last ones become empty after a rush.
///
/// The index grows by one bucket with an entry, which divides one old bucket (linear hashing), so no entry ever waits
/// for all to be moved. The hash is Swift's SipHash with a random seed per process, so nobody can choose codes that fall
/// into one bucket. Entries whose time ends in the same second are a generation; those that are over are removed few at
/// a time.
struct UsedCodeTable: ~Copyable {
    /// 36 bytes.
    fileprivate struct Entry {
        // The address in four parts, so that nothing is lost to alignment.
        let address: (UInt32, UInt32, UInt32, UInt32)
        let isn: UInt32
        let key: UInt32
        /// The second of uptime with which its time is over; 0 in a place that is free.
        var deadline: UInt32
        /// The next entry of the bucket, or of the free places.
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

    /// Room for some entries.
    struct Chunk: Sendable {
        fileprivate var entries: [Entry] = []
        /// Places that were used and are free.
        fileprivate var free = none
        fileprivate var count = 0

        /// Reserves memory, which is not touched before it is used.
        init(places: Int) { entries.reserveCapacity(places) }
    }

    /// What an entry takes with its bucket.
    static let bytesPerEntry = MemoryLayout<Entry>.stride + MemoryLayout<UInt32>.stride
    /// The places of a chunk, if the table may become so large.
    private static let largestChunk = 65_536
    /// So many chunks are there beyond need: more than can be used up before somebody looks again.
    private static let spareChunks = 2
    /// The index begins with so many buckets.
    private static let fewestBuckets = 1024
    /// Memory of the index is given back if so many buckets were in use, and no more than the former are now.
    private static let (fewBuckets, manyBuckets) = (16_384, 65_536)
    /// More than the seconds that an entry lives.
    private static let generations = 256

    /// How many entries there can be at most.
    let capacity: Int
    /// How many entries there are, among them some whose time is over.
    private(set) var count = 0
    /// The places of a chunk: a power of two.
    let chunkPlaces: Int
    private let shift: UInt32
    private var chunks: [Chunk] = []
    /// All chunks before this one are full.
    private var lowest = 0

    private var buckets: [UInt32] = []
    /// One less than the power of two of buckets that the index is on its way to.
    private var mask: Int
    /// The most buckets since the memory of the index was last given back.
    private var touchedBuckets: Int

    /// The first entry of the generation of each second, modulo their number.
    private var wheel = [UInt32](repeating: none, count: generations)
    /// What is left of the generation that is being looked through.
    private var draining = none
    /// Up to which second all generations have been looked through.
    private var swept: UInt32 = 0

    /// Makes room for the first entries.
    ///
    /// - Parameter capacity: How many entries there can be: 1...2^30; others trap.
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

    /// When the time of an entry is over that would be at a time in milliseconds: with the second in which that is.
    private static func second(ofEnd uptime: UInt64) -> UInt32 {
        UInt32(clamping: uptime / 1000 + (uptime % 1000 == 0 ? 0 : 1))
    }

    private subscript(_ index: UInt32) -> Entry {
        get { chunks[Int(index >> shift)].entries[Int(index) & (chunkPlaces - 1)] }
        _modify { yield &chunks[Int(index >> shift)].entries[Int(index) & (chunkPlaces - 1)] }
    }

    // MARK: Entries

    /// Whether there is a place for one more.
    var hasRoom: Bool { count < capacity && count < chunks.count << Int(shift) }

    /// Finds the place of a code, whose time may be over; nil if it has none.
    ///
    /// - Returns: The place, which is valid until something is removed.
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

    /// Whether the time of an entry is not over.
    func isLive(_ place: UInt32, at uptime: UInt64) -> Bool { UInt64(self[place].deadline) * 1000 > uptime }

    /// Puts a code in that is not there; there must be room.
    ///
    /// - Parameters:
    ///   - code: The code.
    ///   - end: When its time is over, in milliseconds of uptime; it is rounded up to a second.
    mutating func insert(_ code: UsedCode, until end: UInt64) {
        let index = takePlace(Entry(code, deadline: Self.second(ofEnd: end)))
        count += 1
        if count > buckets.count, buckets.count < capacity { divideBucket() }
        let bucket = bucket(of: code)
        self[index].chained = buckets[bucket]
        buckets[bucket] = index
        joinGeneration(index)
    }

    /// Lets an entry live longer; earlier than before its time is never over.
    mutating func renew(_ place: UInt32, until end: UInt64) {
        // It changes over when its generation is looked through.
        self[place].deadline = max(self[place].deadline, Self.second(ofEnd: end))
    }

    /// Removes entries whose time is over, so many at most.
    ///
    /// - Parameters:
    ///   - uptime: Now.
    ///   - limit: How many entries are looked at.
    ///   - forget: Is told whose an entry was.
    /// - Returns: Whether none is left.
    mutating func removeExpired(at uptime: UInt64, atMost limit: Int, _ forget: (KeyID) -> Void) -> Bool {
        let second = UInt32(clamping: uptime / 1000)
        // Each generation is looked through once at most, however long ago the last time was.
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

    /// Names the entries in some of the places whose time is not over.
    ///
    /// An entry stays in its place for as long as it is in the table.
    ///
    /// - Returns: Whether there are places beyond.
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

    /// Removes an entry that is of no generation any longer.
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

    /// Adds a bucket, to which some entries of another one go.
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

    /// Takes buckets away if there are many more than entries, so many at most.
    ///
    /// - Returns: Whether there are few enough.
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

    /// How much there is for entries and index, touched or not, in bytes.
    var memory: Int {
        chunks.count * chunkPlaces * MemoryLayout<Entry>.stride + buckets.capacity * MemoryLayout<UInt32>.stride
    }

    /// How much of it was used since it was last given back, in bytes.
    var touchedMemory: Int {
        let entries = chunks.reduce(0) { $0 + $1.entries.count }
        return entries * MemoryLayout<Entry>.stride + touchedBuckets * MemoryLayout<UInt32>.stride
    }

    /// Whether there should be one more chunk.
    var wantsChunk: Bool {
        let places = chunks.count << Int(shift)
        return places < capacity && places - count < Self.spareChunks << Int(shift)
    }

    /// Takes a new chunk, for which there must be a want.
    mutating func add(_ chunk: consuming Chunk) { chunks.append(chunk) }

    /// Takes the last chunk away if it is empty and too much.
    mutating func takeSurplus() -> Chunk? {
        guard let last = chunks.last, last.count == 0, chunks.count > Self.spareChunks,
            (chunks.count - 1) << Int(shift) - count > Self.spareChunks << Int(shift)
        else { return nil }
        lowest = min(lowest, chunks.count - 1)
        return chunks.removeLast()
    }

    /// Whether the last chunks are empty but one of them was used: its memory is better given back.
    var hasUsedEmptyChunk: Bool { usedEmptyChunk != nil }

    private var usedEmptyChunk: Int? {
        var index = chunks.count - 1
        while index >= 0, chunks[index].count == 0 {
            if !chunks[index].entries.isEmpty { return index }
            index -= 1
        }
        return nil
    }

    /// Puts a new chunk in the place of one that is empty but was used.
    mutating func exchange(_ chunk: inout Chunk) {
        guard let index = usedEmptyChunk else { return }
        swap(&chunks[index], &chunk)
    }

    /// How large an index is wanted in place of the one that was larger for a while; nil if it is right as it is.
    var wantedIndexCapacity: Int? {
        touchedBuckets >= Self.manyBuckets && buckets.count <= Self.fewBuckets ? capacity : nil
    }

    /// Puts the index in other memory, which must be empty and large enough.
    mutating func exchangeIndex(_ memory: inout [UInt32]) {
        guard wantedIndexCapacity != nil else { return }
        memory.append(contentsOf: buckets)
        swap(&memory, &buckets)
        touchedBuckets = buckets.count
    }
}

/// Stands for no entry.
private let none = UInt32.max
