// SPDX-License-Identifier: GPL-2.0-or-later

/// A minute of the wall clock: `T` in docs/PROTOCOL.md §2.
public struct TimeSlot: Hashable, Comparable, Sendable {
    /// The length of a slot in seconds.
    public static let seconds: Int64 = 60
    /// The slot of all handshakes if time is not used.
    public static let timeless = TimeSlot(number: 0)

    /// The number of minutes since 1970-01-01 00:00 UTC.
    public let number: UInt64

    /// Creates a slot from minutes since 1970-01-01 00:00 UTC.
    public init(number: UInt64) {
        self.number = number
    }

    /// Creates the slot that contains a time in seconds since 1970-01-01 00:00 UTC; earlier times are in slot 0.
    public init(unixSeconds: Int64) {
        self.init(number: UInt64(max(0, unixSeconds) / Self.seconds))
    }

    /// Returns whether the left slot comes before the right one.
    public static func < (left: TimeSlot, right: TimeSlot) -> Bool {
        left.number < right.number
    }

    /// The previous slot; nil for slot 0.
    public var previous: TimeSlot? {
        number == 0 ? nil : TimeSlot(number: number - 1)
    }

    /// The next slot.
    public var next: TimeSlot {
        TimeSlot(number: number &+ 1)
    }
}
