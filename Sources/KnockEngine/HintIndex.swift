// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// An index from hints to the guests whose keys give them in the accepted slots; rebuilt at the first SYN of a slot.
///
/// An open-addressing hash table; the hint itself is random and serves as the hash. All memory is reserved up front.
struct HintIndex {
    /// A hint that a guest's key gives in a slot.
    struct Entry {
        let hint: UInt16
        /// The guest's position in the list.
        let position: Int
        let slot: TimeSlot
    }

    private var entries: [Entry?]
    private var slot: TimeSlot?

    /// Creates an index with room for three slots of this many keys; 0 means no index.
    init(keyCount: Int) {
        var capacity = keyCount == 0 ? 0 : 4
        // At least half of the table stays empty, so that most wrong hints find nothing at once.
        while capacity < keyCount * 6 { capacity *= 2 }
        entries = Array(repeating: nil, count: capacity)
    }

    /// Whether there is an index.
    var hasRoom: Bool { !entries.isEmpty }

    /// Computes the hints for a slot, unless this has been done.
    mutating func prepare(for slot: TimeSlot, usesTime: Bool, _ guests: [Guest]) {
        guard self.slot != slot else { return }
        self.slot = slot
        for cursor in entries.indices { entries[cursor] = nil }
        // In order of precedence, for the case that a code is right in several slots.
        insert(slot, guests)
        guard usesTime else { return }
        insert(slot.next, guests)
        if let previous = slot.previous { insert(previous, guests) }
    }

    private mutating func insert(_ slot: TimeSlot, _ guests: [Guest]) {
        for position in guests.indices {
            let hint = KeyHint(keys: guests[position].keys, slot: slot).number
            var cursor = first(hint)
            while entries[cursor] != nil { cursor = next(cursor) }
            entries[cursor] = Entry(hint: hint, position: position, slot: slot)
        }
    }

    /// Returns the position at which to start looking for a hint; go on with `next` until an entry is nil.
    func first(_ hint: UInt16) -> Int {
        // The factor spreads hints over tables of more than 2^16 entries too (Knuth's multiplicative hash).
        Int(truncatingIfNeeded: UInt64(hint) &* 0x9e37_79b9_7f4a_7c15 >> 32) & (entries.count - 1)
    }

    /// Returns the position to look at next.
    func next(_ cursor: Int) -> Int { (cursor + 1) & (entries.count - 1) }

    /// Returns the entry at a position.
    func entry(at cursor: Int) -> Entry? { entries[cursor] }
}
