// SPDX-License-Identifier: GPL-2.0-or-later

/// An expiring table whose places all guests share: when it is full, the oldest entry of whoever has the most gives way.
///
/// So nobody who has less than an equal part of the places loses one to somebody else, and one guest alone has all.
struct GuestTable<Key: Hashable, Value>: ~Copyable {
    private struct Entry {
        var value: Value
        /// Whose it is: a position in `owners`.
        let owner: Int32
        /// The next older and the next newer entry of the same owner.
        var older: Int32
        var newer: Int32
    }

    /// Somebody who has entries, by age.
    private struct Owner {
        var key: KeyID?
        var count = 0
        var oldest = none
        var newest = none

        /// Whether it has more entries; of two who have as many, one is so always.
        func isGreater(than other: Owner) -> Bool {
            guard count == other.count else { return count > other.count }
            guard let key, let otherKey = other.key else { return key == nil && other.key != nil }
            return key.number < otherKey.number
        }
    }

    private static var none: Int32 { -1 }

    private var table: ExpiringTable<Key, Entry>
    private var owners: [Owner] = []
    private var free: [Int32] = []
    private var positions: [KeyID?: Int32] = [:]

    /// Reserves the memory for entries.
    ///
    /// - Parameters:
    ///   - capacity: The number of entries: 1...2^30; others trap.
    ///   - lifetime: How long one lives after it was put in or renewed, in milliseconds.
    init(capacity: Int, lifetime: UInt64) {
        table = ExpiringTable(capacity: capacity, lifetime: lifetime)
        reserve(guests: 1)
    }

    /// Reserves memory for so many guests beside those who have entries, and for entries that are nobody's.
    mutating func reserve(guests: Int) {
        let count = positions.count + guests + 1
        owners.reserveCapacity(count)
        free.reserveCapacity(count)
        positions.reserveCapacity(count)
    }

    /// How many entries there are, expired ones that nothing has removed yet among them.
    var count: Int { table.count }

    /// How long an entry that is put in now will live, in milliseconds.
    var lifetime: UInt64 {
        get { table.lifetime }
        set { table.lifetime = newValue }
    }

    /// The value at a position.
    subscript(position: Int) -> Value {
        get { table[position].value }
        _modify { yield &table[position].value }
    }

    /// Finds the entry of a key; nil if there is none or it has expired.
    func position(of key: Key, at uptime: UInt64) -> Int? { table.position(of: key, at: uptime) }

    /// Names the entries that have not expired whose keys have the same hash as a key.
    @inline(__always)
    func forEachNeighbour(of key: Key, at uptime: UInt64, _ body: (_ key: Key, _ position: Int) -> Void) {
        table.forEachNeighbour(of: key, at: uptime, body)
    }

    /// Puts an entry in, in place of the one with the same key.
    ///
    /// - Parameters:
    ///   - key: What it is found by.
    ///   - value: What it holds.
    ///   - guest: Whose it is; nil for nobody's, which count as one guest's.
    ///   - uptime: Now.
    mutating func insert(_ key: Key, _ value: Value, of guest: KeyID?, at uptime: UInt64) {
        makeRoom(for: key, at: uptime)
        let entry = begin(value, of: guest)
        append(table.insert(key, entry, at: uptime))
    }

    /// Puts in an entry of before with the deadline that it had; to be called in the order of deadlines.
    mutating func restore(_ key: Key, _ value: Value, of guest: KeyID?, deadline: UInt64, at uptime: UInt64) {
        guard deadline > uptime else { return }
        makeRoom(for: key, at: uptime)
        let entry = begin(value, of: guest)
        if let position = table.restore(key, entry, deadline: deadline, at: uptime) { append(position) }
    }

    /// Lets an entry live from now on as long as a new one.
    mutating func renew(_ position: Int, at uptime: UInt64) {
        table.renew(position, at: uptime)
        unlink(position)
        (table[position].older, table[position].newer) = (owners[Int(table[position].owner)].newest, Self.none)
        append(position)
    }

    /// Removes an entry.
    mutating func remove(at position: Int) {
        let owner = Int(table[position].owner)
        unlink(position)
        table.remove(at: position)
        guard owners[owner].count == 0 else { return }
        positions[owners[owner].key] = nil
        free.append(Int32(owner))
    }

    /// Names all entries that have not expired, the oldest first.
    func forEach(at uptime: UInt64, _ body: (Key, Value) -> Void) {
        table.forEach(at: uptime) { key, entry in body(key, entry.value) }
    }

    /// Names the entries in some of the places that have not expired, as `ExpiringTable` does.
    func forEach(in places: Range<Int>, at uptime: UInt64, _ body: (_ key: Key, _ value: Value) -> Void) -> Bool {
        table.forEach(in: places, at: uptime) { key, entry, _ in body(key, entry.value) }
    }

    private mutating func makeRoom(for key: Key, at uptime: UInt64) {
        while let position = table.oldestExpired(at: uptime) { remove(at: position) }
        if let position = table.position(of: key, at: 0) { remove(at: position) }
        guard table.count == table.capacity else { return }
        var greatest = 0
        for owner in owners.indices where owners[owner].isGreater(than: owners[greatest]) { greatest = owner }
        remove(at: Int(owners[greatest].oldest))
    }

    /// An entry behind all others of its owner.
    private mutating func begin(_ value: Value, of guest: KeyID?) -> Entry {
        let owner: Int32
        if let known = positions[guest] {
            owner = known
        } else {
            if let reused = free.popLast() {
                owner = reused
                owners[Int(owner)] = Owner(key: guest)
            } else {
                owner = Int32(owners.count)
                owners.append(Owner(key: guest))
            }
            positions[guest] = owner
        }
        return Entry(value: value, owner: owner, older: owners[Int(owner)].newest, newer: Self.none)
    }

    private mutating func append(_ position: Int) {
        let (owner, older) = (Int(table[position].owner), table[position].older)
        if older == Self.none {
            owners[owner].oldest = Int32(position)
        } else {
            table[Int(older)].newer = Int32(position)
        }
        owners[owner].newest = Int32(position)
        owners[owner].count += 1
    }

    private mutating func unlink(_ position: Int) {
        let (owner, older, newer) = (Int(table[position].owner), table[position].older, table[position].newer)
        if older == Self.none { owners[owner].oldest = newer } else { table[Int(older)].newer = newer }
        if newer == Self.none { owners[owner].newest = older } else { table[Int(newer)].older = older }
        owners[owner].count -= 1
    }
}
