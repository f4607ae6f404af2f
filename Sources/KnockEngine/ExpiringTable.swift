// SPDX-License-Identifier: GPL-2.0-or-later

/// A hash table of fixed capacity whose entries all live equally long from when they were inserted or renewed.
///
/// All memory is reserved up front, so nothing here allocates later. Entries are chained per bucket, and all of them
/// are linked in the order of their deadlines. The hash is Swift's SipHash with a random seed per process, so nobody
/// can choose keys that fall into the same bucket.
struct ExpiringTable<Key: Hashable, Value>: ~Copyable {
    private struct Entry {
        // First, so that no padding is needed before smaller fields.
        var deadline: UInt64
        var key: Key
        var value: Value
        /// The next entry of the bucket, or of the free list.
        var chained: Int32
        var older: Int32
        var newer: Int32
    }

    private static var none: Int32 { -1 }
    /// The maximum number of buckets; more would cost more memory than the time they save is worth.
    private static var mostBuckets: Int { 65_536 }

    /// The maximum number of entries.
    let capacity: Int
    /// The lifetime of entries inserted from now on, in milliseconds.
    ///
    /// If it is shortened, expired entries may stay in the table until older ones expire.
    var lifetime: UInt64
    /// The number of entries, including expired ones that have not been removed yet.
    private(set) var count = 0

    private var entries: [Entry] = []
    private var buckets: [Int32]
    private var free: Int32 = none
    private var oldest: Int32 = none
    private var newest: Int32 = none

    /// Creates a table and reserves its memory.
    ///
    /// - Parameters:
    ///   - capacity: The maximum number of entries: 1...2^30; other values trap.
    ///   - lifetime: How long an entry lives, in milliseconds.
    init(capacity: Int, lifetime: UInt64) {
        precondition(capacity >= 1 && capacity <= 1 << 30)
        self.capacity = capacity
        self.lifetime = lifetime
        entries.reserveCapacity(capacity)
        let bucketCount = 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
        buckets = [Int32](repeating: Self.none, count: min(bucketCount, Self.mostBuckets))
    }

    /// Finds the entry with a key.
    ///
    /// - Returns: Its position, valid until the next insertion or removal; nil if there is none or it has expired.
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

    /// Calls `body` for each unexpired entry whose key has the same hash as `key`; equal keys are among them.
    ///
    /// If keys hash only some of their fields, these are the entries that agree in those fields, and few others.
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

    /// Returns the position of the oldest entry if it has expired.
    func oldestExpired(at uptime: UInt64) -> Int? {
        oldest != Self.none && entries[Int(oldest)].deadline <= uptime ? Int(oldest) : nil
    }

    /// The value at a position.
    subscript(position: Int) -> Value {
        get { entries[position].value }
        _modify { yield &entries[position].value }
    }

    /// Inserts an entry, replacing one with the same key; if the table is full, the oldest entry is removed.
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

    /// Restarts an entry's lifetime.
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
        // So that a walk over all places sees that this one is empty.
        entries[position].deadline = 0
        entries[position].chained = free
        free = index
        count -= 1
    }

    /// Inserts an entry of an earlier process with its old deadline; to be called in the order of deadlines.
    ///
    /// - Parameters:
    ///   - key: Its key.
    ///   - value: Its value.
    ///   - deadline: When it expires, capped to that of an entry inserted now; if it has passed, nothing is inserted.
    ///   - uptime: The current time.
    /// - Returns: Its position; nil if it was not inserted.
    @discardableResult
    mutating func restore(_ key: Key, _ value: Value, deadline: UInt64, at uptime: UInt64) -> Int? {
        guard deadline > uptime else { return nil }
        let position = insert(key, value, at: uptime)
        entries[position].deadline = min(deadline, entries[position].deadline)
        return position
    }

    /// Removes all expired entries, calling `forget` before each removal.
    mutating func removeExpired(at uptime: UInt64, _ forget: (Key, Value) -> Void) {
        while oldest != Self.none, entries[Int(oldest)].deadline <= uptime {
            forget(entries[Int(oldest)].key, entries[Int(oldest)].value)
            remove(at: Int(oldest))
        }
    }

    /// Calls `body` for each unexpired entry, the oldest first.
    func forEach(at uptime: UInt64, _ body: (Key, Value) -> Void) {
        var index = oldest
        while index != Self.none {
            let entry = entries[Int(index)]
            if entry.deadline > uptime { body(entry.key, entry.value) }
            index = entry.newer
        }
    }

    /// Calls `body` for each unexpired entry in a range of places, so that a long walk can be done in steps.
    ///
    /// An entry never moves to another place while it is in the table.
    ///
    /// - Parameters:
    ///   - places: Any range; the part outside the table is ignored.
    ///   - uptime: The current time.
    ///   - body: Receives each entry.
    /// - Returns: Whether there are places beyond the range.
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
