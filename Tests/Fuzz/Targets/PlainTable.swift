// SPDX-License-Identifier: GPL-2.0-or-later

/// What the engines' table of fixed capacity does, slow and obvious, to compare with: a list in the order of insertion.
struct PlainTable<Key: Equatable, Value> {
    private struct Entry {
        let key: Key
        var value: Value
        let deadline: UInt64
    }

    let capacity: Int
    var lifetime: UInt64
    private var entries: [Entry] = []

    init(capacity: Int, lifetime: UInt64) {
        self.capacity = capacity
        self.lifetime = lifetime
    }

    var count: Int { entries.count }

    var keys: [Key] { entries.map(\.key) }

    /// The value of a key; nil if there is none or it has expired.
    func find(_ key: Key, at uptime: UInt64) -> Value? {
        entries.first { $0.key == key && $0.deadline > uptime }?.value
    }

    /// Puts an entry in, as the latest; one with the same key, or the oldest of a full table, gives way.
    mutating func insert(_ key: Key, _ value: Value, at uptime: UInt64) {
        if let index = entries.firstIndex(where: { $0.key == key }) {
            entries.remove(at: index)
        } else {
            _ = removeExpired(at: uptime)
            if entries.count == capacity { entries.removeFirst() }
        }
        entries.append(Entry(key: key, value: value, deadline: uptime &+ lifetime))
    }

    /// Changes a value where it is.
    mutating func replace(_ key: Key, _ value: Value) {
        for index in entries.indices where entries[index].key == key { entries[index].value = value }
    }

    mutating func remove(_ key: Key) { entries.removeAll { $0.key == key } }

    /// Removes what has expired, up to the first that has not.
    ///
    /// - Returns: The values.
    mutating func removeExpired(at uptime: UInt64) -> [Value] {
        let expired = entries.prefix { $0.deadline <= uptime }.map(\.value)
        entries.removeFirst(expired.count)
        return expired
    }
}
