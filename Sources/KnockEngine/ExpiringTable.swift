// SPDX-License-Identifier: GPL-2.0-or-later

/// A hash table of fixed capacity whose entries live equally long, counted from when they were last put in front.
///
/// All memory is reserved at the start, so nothing here allocates later. Entries are chained per bucket, and all of
/// them in the order of their deadlines. The hash is Swift's SipHash with a random seed per process, so nobody can
/// choose keys that fall into one bucket.
struct ExpiringTable<Key: Hashable, Value>: ~Copyable {
    private struct Entry {
        // First, so that nothing is lost between it and smaller fields.
        var deadline: UInt64
        var key: Key
        var value: Value
        /// The next entry of the bucket, or of the free list.
        var chained: Int32
        var older: Int32
        var newer: Int32
    }

    private static var none: Int32 { -1 }
    /// More would take more memory than they save time.
    private static var mostBuckets: Int { 65_536 }

    /// How many entries there can be.
    let capacity: Int
    /// How long an entry that is put in now will live, in milliseconds.
    ///
    /// After a change that made it shorter, expired entries may keep their room until older ones expire.
    var lifetime: UInt64
    /// How many entries there are, expired ones that nothing has removed yet among them.
    private(set) var count = 0

    private var entries: [Entry] = []
    private var buckets: [Int32]
    private var free: Int32 = none
    private var oldest: Int32 = none
    private var newest: Int32 = none

    /// Reserves the memory.
    ///
    /// - Parameters:
    ///   - capacity: The number of entries: 1...2^30; others trap.
    ///   - lifetime: Milliseconds.
    init(capacity: Int, lifetime: UInt64) {
        precondition(capacity >= 1 && capacity <= 1 << 30)
        self.capacity = capacity
        self.lifetime = lifetime
        entries.reserveCapacity(capacity)
        let bucketCount = 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
        buckets = [Int32](repeating: Self.none, count: min(bucketCount, Self.mostBuckets))
    }

    /// Finds the entry of a key; nil if there is none or it has expired.
    ///
    /// - Returns: Its position, which is valid until the next insertion or removal.
    func position(of key: Key, at uptime: UInt64) -> Int? {
        guard count > 0 else { return nil }
        var index = buckets[bucket(of: key)]
        while index != Self.none {
            let position = Int(index)
            if entries[position].key == key {
                return entries[position].deadline > uptime ? position : nil
            }
            index = entries[position].chained
        }
        return nil
    }

    /// Names the entries that have not expired whose keys have the same hash as a key, as equal ones do.
    ///
    /// Of keys that hash only a part of what makes them equal, these are all with the same part, and few others.
    @inline(__always)
    func forEachNeighbour(of key: Key, at uptime: UInt64, _ body: (_ key: Key, _ position: Int) -> Void) {
        guard count > 0 else { return }
        var index = buckets[bucket(of: key)]
        while index != Self.none {
            let position = Int(index)
            if entries[position].deadline > uptime { body(entries[position].key, position) }
            index = entries[position].chained
        }
    }

    /// The position of the oldest entry if it has expired.
    func oldestExpired(at uptime: UInt64) -> Int? {
        oldest != Self.none && entries[Int(oldest)].deadline <= uptime ? Int(oldest) : nil
    }

    /// The value at a position.
    subscript(position: Int) -> Value {
        get { entries[position].value }
        _modify { yield &entries[position].value }
    }

    /// Puts an entry in, in place of the one with the same key; if the table is full, the oldest gives way.
    ///
    /// - Returns: Its position.
    @discardableResult
    mutating func insert(_ key: Key, _ value: Value, at uptime: UInt64) -> Int {
        let bucket = bucket(of: key)
        var index = buckets[bucket]
        while index != Self.none, entries[Int(index)].key != key { index = entries[Int(index)].chained }
        if index != Self.none {
            entries[Int(index)].value = value
            renew(Int(index), at: uptime)
            return Int(index)
        }

        removeExpired(at: uptime) { _, _ in }
        if count == capacity { remove(at: Int(oldest)) }
        let entry = Entry(
            deadline: uptime &+ lifetime, key: key, value: value, chained: buckets[bucket], older: newest,
            newer: Self.none)
        if free == Self.none {
            index = Int32(entries.count)
            entries.append(entry)
        } else {
            index = free
            free = entries[Int(index)].chained
            entries[Int(index)] = entry
        }
        buckets[bucket] = index
        append(index)
        count += 1
        return Int(index)
    }

    /// Lets an entry live from now on as long as a new one.
    mutating func renew(_ position: Int, at uptime: UInt64) {
        unlinkByAge(position)
        entries[position].deadline = uptime &+ lifetime
        entries[position].older = newest
        entries[position].newer = Self.none
        append(Int32(position))
    }

    /// Removes an entry.
    mutating func remove(at position: Int) {
        let bucket = bucket(of: entries[position].key)
        let index = Int32(position)
        if buckets[bucket] == index {
            buckets[bucket] = entries[position].chained
        } else {
            var before = Int(buckets[bucket])
            while entries[before].chained != index { before = Int(entries[before].chained) }
            entries[before].chained = entries[position].chained
        }
        unlinkByAge(position)
        // So that whoever goes through all places sees that there is nothing.
        entries[position].deadline = 0
        entries[position].chained = free
        free = index
        count -= 1
    }

    /// Puts in an entry of before with the deadline that it had; to be called in the order of deadlines.
    ///
    /// - Parameters:
    ///   - key: Its key.
    ///   - value: Its value.
    ///   - deadline: When it expires, but not later than an entry that is put in now; one that has is not put in.
    ///   - uptime: Now.
    /// - Returns: Its position; nil if it was not put in.
    @discardableResult
    mutating func restore(_ key: Key, _ value: Value, deadline: UInt64, at uptime: UInt64) -> Int? {
        guard deadline > uptime else { return nil }
        let position = insert(key, value, at: uptime)
        entries[position].deadline = min(deadline, entries[position].deadline)
        return position
    }

    /// Removes what has expired, and names each to the caller first.
    mutating func removeExpired(at uptime: UInt64, _ forget: (Key, Value) -> Void) {
        while oldest != Self.none, entries[Int(oldest)].deadline <= uptime {
            forget(entries[Int(oldest)].key, entries[Int(oldest)].value)
            remove(at: Int(oldest))
        }
    }

    /// Names all entries that have not expired, the oldest first.
    func forEach(at uptime: UInt64, _ body: (Key, Value) -> Void) {
        var index = oldest
        while index != Self.none {
            let entry = entries[Int(index)]
            if entry.deadline > uptime { body(entry.key, entry.value) }
            index = entry.newer
        }
    }

    /// Names the entries in some of the places that have not expired, so that nobody need wait until all are named.
    ///
    /// An entry stays in its place for as long as it is in the table.
    ///
    /// - Parameters:
    ///   - places: Any range; what lies beyond the table is left out.
    ///   - uptime: Now.
    ///   - body: Takes one.
    /// - Returns: Whether there are places beyond.
    func forEach(
        in places: Range<Int>, at uptime: UInt64, _ body: (_ key: Key, _ value: Value, _ deadline: UInt64) -> Void
    ) -> Bool {
        for entry in entries[places.clamped(to: entries.indices)] where entry.deadline > uptime {
            body(entry.key, entry.value, entry.deadline)
        }
        return places.upperBound < entries.count
    }

    private func bucket(of key: Key) -> Int {
        key.hashValue & (buckets.count - 1)
    }

    private mutating func append(_ index: Int32) {
        if newest == Self.none { oldest = index } else { entries[Int(newest)].newer = index }
        newest = index
    }

    private mutating func unlinkByAge(_ position: Int) {
        let (older, newer) = (entries[position].older, entries[position].newer)
        if older == Self.none { oldest = newer } else { entries[Int(older)].newer = newer }
        if newer == Self.none { newest = older } else { entries[Int(newer)].older = older }
    }
}
