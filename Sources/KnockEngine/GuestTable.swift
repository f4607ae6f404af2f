// SPDX-License-Identifier: GPL-2.0-or-later

/// An expiring table that all guests share; when it is full, the guest with the most entries loses its oldest.
///
/// So a guest with less than an equal part of the entries never loses one to another, and a single guest has them all.
struct GuestTable<Key: Hashable, Value>: ~Copyable {
    private struct Entry {
        var value: Value
        /// The guest it belongs to: a position in `owners`.
        let owner: Int32
        /// The next older and the next newer entry of the same owner.
        var older: Int32
        var newer: Int32
    }

    /// The entries of one guest, linked by age.
    private struct Owner {
        var key: KeyID?
        var count = 0
        var oldest = none
        var newest = none

        /// Returns whether it has more entries; between equals the answer is arbitrary but consistent.
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

    /// Creates a table and reserves its memory.
    ///
    /// - Parameters:
    ///   - capacity: The maximum number of entries: 1...2^30; other values trap.
    ///   - lifetime: How long an entry lives after it was inserted or renewed, in milliseconds.
    init(capacity: Int, lifetime: UInt64) {
        table = ExpiringTable(capacity: capacity, lifetime: lifetime)
        reserve(guests: 1)
    }

    /// Reserves memory for this many guests besides those that have entries, and for entries that belong to no guest.
    mutating func reserve(guests: Int) {
        let count = positions.count + guests + 1
        owners.reserveCapacity(count)
        free.reserveCapacity(count)
        positions.reserveCapacity(count)
    }

    /// The number of entries, including expired ones that have not been removed yet.
    var count: Int { table.count }

    /// The lifetime of entries inserted from now on, in milliseconds.
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

    /// Calls `body` for each unexpired entry whose key has the same hash as `key`.
    @inline(__always)
    func forEachNeighbour(of key: Key, at uptime: UInt64, _ body: (_ key: Key, _ position: Int) -> Void) {
        table.forEachNeighbour(of: key, at: uptime, body)
    }

    /// Inserts an entry, replacing one with the same key.
    ///
    /// - Parameters:
    ///   - key: Its key.
    ///   - value: Its value.
    ///   - guest: The guest it belongs to; nil for no guest. Entries of no guest count as those of one guest.
    ///   - uptime: The current time.
    mutating func insert(_ key: Key, _ value: Value, of guest: KeyID?, at uptime: UInt64) {
        makeRoom(for: key, at: uptime)
        let entry = begin(value, of: guest)
        append(table.insert(key, entry, at: uptime))
    }

    /// Inserts an entry of an earlier process with its old deadline; to be called in the order of deadlines.
    mutating func restore(_ key: Key, _ value: Value, of guest: KeyID?, deadline: UInt64, at uptime: UInt64) {
        guard deadline > uptime else { return }
        makeRoom(for: key, at: uptime)
        let entry = begin(value, of: guest)
        if let position = table.restore(key, entry, deadline: deadline, at: uptime) { append(position) }
    }

    /// Restarts an entry's lifetime.
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

    /// Calls `body` for each unexpired entry, the oldest first.
    func forEach(at uptime: UInt64, _ body: (Key, Value) -> Void) {
        table.forEach(at: uptime) { key, entry in body(key, entry.value) }
    }

    /// Calls `body` for each unexpired entry in a range of places; see `ExpiringTable`.
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

    /// Creates an entry that is to be the newest of its owner.
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
