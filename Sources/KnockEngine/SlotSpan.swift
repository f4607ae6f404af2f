// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol

/// A range of consecutive time slots of which codes have been used.
public struct SlotSpan: Hashable, Sendable {
    /// The first slot.
    public let first: TimeSlot
    /// The last slot; not before the first.
    public let last: TimeSlot
    /// When used codes of these slots may start to be forgotten, in milliseconds of uptime.
    ///
    /// From then on, no code of these slots is accepted, since it could not be told from a replay.
    public let retires: UInt64

    /// Creates a range from two slots, in either order.
    public init(_ first: TimeSlot, _ last: TimeSlot, retires: UInt64) {
        (self.first, self.last) = (min(first, last), max(first, last))
        self.retires = retires
    }

    func contains(_ slot: TimeSlot) -> Bool { first <= slot && slot <= last }

    func overlaps(_ other: SlotSpan) -> Bool { first <= other.last && other.first <= last }

    /// Returns the range that covers both ranges and everything between them.
    func joined(with other: SlotSpan) -> SlotSpan {
        SlotSpan(min(first, other.first), max(last, other.last), retires: min(retires, other.retires))
    }
}
