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
    /// The number of whose an entry is, where that decides which gives way.
    private let owner: (Key) -> Int

    init(capacity: Int, lifetime: UInt64, owner: @escaping (Key) -> Int = { _ in 0 }) {
        self.capacity = capacity
        self.lifetime = lifetime
        self.owner = owner
    }

    var count: Int { entries.count }

    var keys: [Key] { entries.map(\.key) }

    /// The value of a key; nil if there is none or it has expired.
    func find(_ key: Key, at uptime: UInt64) -> Value? {
        entries.first { $0.key == key && $0.deadline > uptime }?.value
    }

    /// The values of the keys that something holds of, unless they have expired.
    func findAll(at uptime: UInt64, where isMeant: (Key) -> Bool) -> [Value] {
        entries.filter { isMeant($0.key) && $0.deadline > uptime }.map(\.value)
    }

    /// Puts an entry in, as the latest; one with the same key gives way, or in a full table the oldest of the owner with
    /// the most, of two who have as many the one with the lower number.
    mutating func insert(_ key: Key, _ value: Value, at uptime: UInt64) {
        if let index = entries.firstIndex(where: { $0.key == key }) {
            entries.remove(at: index)
        } else {
            _ = removeExpired(at: uptime)
            if entries.count == capacity {
                let counts = Dictionary(grouping: entries) { owner($0.key) }.mapValues(\.count)
                let greatest = counts.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key
                if let index = entries.firstIndex(where: { owner($0.key) == greatest }) { entries.remove(at: index) }
            }
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
