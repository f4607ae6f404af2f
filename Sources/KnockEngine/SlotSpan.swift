// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol

/// Time slots, one behind the other, of which codes have been used.
public struct SlotSpan: Hashable, Sendable {
    /// The first.
    public let first: TimeSlot
    /// The last; not before the first.
    public let last: TimeSlot
    /// From when on used codes of these slots may have been forgotten, in milliseconds of uptime: then none of them is
    /// good, since it cannot be told from a replay.
    public let retires: UInt64

    /// Takes all of it; the later slot is the last.
    public init(_ first: TimeSlot, _ last: TimeSlot, retires: UInt64) {
        (self.first, self.last) = (min(first, last), max(first, last))
        self.retires = retires
    }

    func contains(_ slot: TimeSlot) -> Bool { first <= slot && slot <= last }

    func overlaps(_ other: SlotSpan) -> Bool { first <= other.last && other.first <= last }

    /// Both, and all between them.
    func joined(with other: SlotSpan) -> SlotSpan {
        SlotSpan(min(first, other.first), max(last, other.last), retires: min(retires, other.retires))
    }
}

/// The time slots of which codes have been used, and from when on which of them are retired (docs/PROTOCOL.md §4).
///
/// A code is remembered from its use for `lifetime`. So until that has passed since the *first* use of a code of a slot,
/// all of its used codes are remembered, and a code of it that is not is no replay; after it, nobody knows. Slots of
/// which no code was ever used are good at any time: a clock that was ahead for a while, and is right again, leaves
/// retired what was used meanwhile, and nothing between.
struct UsedSlots {
    /// More spans than this are joined: slots between two of them are retired then, too.
    static let mostSpans = 16

    /// In the order of their slots; none overlap.
    private(set) var spans: [SlotSpan] = []
    private let lifetime: UInt64

    /// Begins with none.
    ///
    /// - Parameter lifetime: How long used codes are remembered, in milliseconds.
    init(lifetime: UInt64) {
        self.lifetime = lifetime
        spans.reserveCapacity(Self.mostSpans + 1)
    }

    /// Finds the span of a slot; nil if no code of it was ever used.
    func position(of slot: TimeSlot) -> Int? {
        // What is used is of the latest slots nearly always.
        var position = spans.count - 1
        while position >= 0 {
            if spans[position].contains(slot) { return position }
            position -= 1
        }
        return nil
    }

    /// Whether a span is retired.
    func isRetired(_ position: Int, at uptime: UInt64) -> Bool { spans[position].retires <= uptime }

    /// Notes that the first code of a slot is used.
    ///
    /// - Returns: The slot, with the time at which it will be retired.
    mutating func begin(_ slot: TimeSlot, at now: Instant) -> SlotSpan {
        let span = SlotSpan(slot, slot, retires: now.uptime &+ lifetime)
        insert(span, at: now)
        return span
    }

    /// Takes up a span; with what it overlaps it becomes one.
    mutating func insert(_ span: SlotSpan, at now: Instant) {
        var span = span
        while let index = spans.firstIndex(where: { $0.overlaps(span) }) {
            span = span.joined(with: spans.remove(at: index))
        }
        spans.insert(span, at: spans.firstIndex { $0.first > span.last } ?? spans.count)
        joinRetired(at: now.uptime)
        while spans.count > Self.mostSpans { joinNearest(at: now.slot) }
    }

    /// Retires all of them now.
    mutating func retireAll() {
        for index in spans.indices { spans[index] = SlotSpan(spans[index].first, spans[index].last, retires: 0) }
    }

    /// As long as the clock goes right and codes are used, this leaves one span, which grows.
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

    /// Joins the two spans with the fewest slots between them, but no slot that is accepted now gets retired by that.
    private mutating func joinNearest(at slot: TimeSlot) {
        let accepted = SlotSpan(slot.previous ?? slot, slot.next, retires: 0)
        var nearest: Int?
        var shortest = UInt64.max
        for index in 1..<spans.count where !spans[index - 1].joined(with: spans[index]).overlaps(accepted) {
            let distance = spans[index].first.number - spans[index - 1].last.number
            if distance < shortest { (nearest, shortest) = (index, distance) }
        }
        // There is one, since few spans are near the slots of now.
        join(nearest ?? 1)
    }

    private mutating func join(_ index: Int) {
        spans[index - 1] = spans[index - 1].joined(with: spans[index])
        spans.remove(at: index)
    }
}
