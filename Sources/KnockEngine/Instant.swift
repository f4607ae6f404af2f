// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol

/// A point in time on both of the caller's clocks; only the executables read the clocks.
public struct Instant: Equatable, Sendable {
    /// Seconds since 1970-01-01 00:00 UTC, from a clock that can be set; only time slots depend on it.
    public var unixSeconds: Int64
    /// Milliseconds of a clock that never goes back (CLOCK_BOOTTIME); all expiry depends on it.
    public var uptime: UInt64

    public init(unixSeconds: Int64, uptime: UInt64) {
        self.unixSeconds = unixSeconds
        self.uptime = uptime
    }

    /// The time slot of `unixSeconds`.
    public var slot: TimeSlot { TimeSlot(unixSeconds: unixSeconds) }
}
