// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// Which guests' keys give which hint in the slots that are accepted now; made anew at the first SYN of a slot.
///
/// An open hash table whose hash is the hint itself, which is random. All memory is reserved at the start.
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

    /// Reserves room for the three slots of so many keys; for none, there is no index.
    init(keyCount: Int) {
        var capacity = keyCount == 0 ? 0 : 4
        // At least half of it stays empty, so that most wrong hints meet nothing at all.
        while capacity < keyCount * 6 { capacity *= 2 }
        entries = Array(repeating: nil, count: capacity)
    }

    /// Whether there is an index.
    var hasRoom: Bool { !entries.isEmpty }

    /// Computes the hints, if it has not been done for this slot.
    mutating func prepare(for slot: TimeSlot, usesTime: Bool, _ guests: [Guest]) {
        guard self.slot != slot else { return }
        self.slot = slot
        for cursor in entries.indices { entries[cursor] = nil }
        // In the order in which slots go before each other where a code is right in several.
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

    /// Where to begin to look for a hint; from there on, until an entry is nil.
    func first(_ hint: UInt16) -> Int {
        // The factor spreads hints over tables of more than 2^16 entries too (Knuth's multiplicative hash).
        Int(truncatingIfNeeded: UInt64(hint) &* 0x9e37_79b9_7f4a_7c15 >> 32) & (entries.count - 1)
    }

    /// Where to look next.
    func next(_ cursor: Int) -> Int { (cursor + 1) & (entries.count - 1) }

    /// What is there.
    func entry(at cursor: Int) -> Entry? { entries[cursor] }
}
