// SPDX-License-Identifier: GPL-2.0-or-later

/// A minute of the wall clock: `T` of docs/PROTOCOL.md §2.
public struct TimeSlot: Hashable, Comparable, Sendable {
    /// The length of a slot in seconds.
    public static let seconds: Int64 = 60
    /// The slot of all handshakes where time is switched off.
    public static let timeless = TimeSlot(number: 0)

    /// Minutes since 1970-01-01 00:00 UTC.
    public let number: UInt64

    /// Takes minutes since 1970-01-01 00:00 UTC.
    public init(number: UInt64) {
        self.number = number
    }

    /// Finds the slot of a time in seconds since 1970-01-01 00:00 UTC; times before that are in slot 0.
    public init(unixSeconds: Int64) {
        self.init(number: UInt64(max(0, unixSeconds) / Self.seconds))
    }

    /// Says which slot comes first.
    public static func < (left: TimeSlot, right: TimeSlot) -> Bool {
        left.number < right.number
    }

    /// The slot before; slot 0 has none.
    public var previous: TimeSlot? {
        number == 0 ? nil : TimeSlot(number: number - 1)
    }

    /// The slot after.
    public var next: TimeSlot {
        TimeSlot(number: number &+ 1)
    }
}
