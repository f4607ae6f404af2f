// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// The time slots of which codes have been used, and when each is retired (docs/PROTOCOL.md §4).
///
/// A code is remembered for `lifetime` after its use. Until that time has passed since the *first* use of a code of a
/// slot, all used codes of the slot are remembered, so a code that is not among them is not a replay. After that,
/// nobody knows. Slots of which no code was ever used are always good: if the clock was ahead for a while and is right
/// again, only the slots used in the meantime are retired, and none in between.
struct UsedSlots {
    /// The maximum number of spans; beyond it, two are joined, which also retires the slots between them.
    static let mostSpans = 16

    /// The spans in the order of their slots; none overlap.
    private(set) var spans: [SlotSpan] = []
    private let lifetime: UInt64

    /// Creates an empty set.
    ///
    /// - Parameter lifetime: How long used codes are remembered, in milliseconds.
    init(lifetime: UInt64) {
        self.lifetime = lifetime
        spans.reserveCapacity(Self.mostSpans + 1)
    }

    /// Finds the span that contains a slot; nil if no code of the slot was ever used.
    func position(of slot: TimeSlot) -> Int? {
        // The search starts at the end: nearly all codes are of the latest slots.
        var position = spans.count - 1
        while position >= 0 {
            if spans[position].contains(slot) { return position }
            position -= 1
        }
        return nil
    }

    /// Returns whether a span is retired.
    func isRetired(_ position: Int, at uptime: UInt64) -> Bool { spans[position].retires <= uptime }

    /// Notes that the first code of a slot is used.
    ///
    /// - Returns: The slot as a span, with the time at which it will be retired.
    mutating func begin(_ slot: TimeSlot, at now: Instant) -> SlotSpan {
        let span = SlotSpan(slot, slot, retires: now.uptime &+ lifetime)
        insert(span, at: now)
        return span
    }

    /// Inserts a span, merging it with those that it overlaps.
    mutating func insert(_ span: SlotSpan, at now: Instant) {
        var span = span
        while let index = spans.firstIndex(where: { $0.overlaps(span) }) {
            span = span.joined(with: spans.remove(at: index))
        }
        spans.insert(span, at: spans.firstIndex { $0.first > span.last } ?? spans.count)
        joinRetired(at: now.uptime)
        while spans.count > Self.mostSpans { joinNearest(at: now.slot) }
    }

    /// Retires all spans now.
    mutating func retireAll() {
        for index in spans.indices { spans[index] = SlotSpan(spans[index].first, spans[index].last, retires: 0) }
    }

    /// Joins adjacent retired spans; while the clock is right and codes are used, this leaves one growing span.
    private mutating func joinRetired(at uptime: UInt64) {
        var index = 1
        while index < spans.count {
            if isRetired(index - 1, at: uptime), isRetired(index, at: uptime),
                spans[index - 1].last.next == spans[index].first
            {
                join(index)
            } else {
                index += 1
            }
        }
    }

    /// Joins the two spans with the fewest slots between them, without retiring a slot that is accepted now.
    private mutating func joinNearest(at slot: TimeSlot) {
        let accepted = SlotSpan(slot.previous ?? slot, slot.next, retires: 0)
        var nearest: Int?
        var shortest = UInt64.max
        for index in 1..<spans.count where !spans[index - 1].joined(with: spans[index]).overlaps(accepted) {
            let distance = spans[index].first.number - spans[index - 1].last.number
            if distance < shortest { (nearest, shortest) = (index, distance) }
        }
        // There is one, since few spans are near the current slot.
        join(nearest ?? 1)
    }

    private mutating func join(_ index: Int) {
        spans[index - 1] = spans[index - 1].joined(with: spans[index])
        spans.remove(at: index)
    }
}
