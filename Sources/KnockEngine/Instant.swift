// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// A point in time, as the caller's clocks have it; nothing below the executables asks a clock.
package struct Instant: Equatable, Sendable {
    /// Seconds since 1970-01-01 00:00 UTC, from a clock that may be set; only time slots depend on it.
    package var unixSeconds: Int64
    /// Milliseconds of a clock that never goes back (CLOCK_BOOTTIME); all that expires depends on it.
    package var uptime: UInt64

    /// Takes the readings of both clocks.
    package init(unixSeconds: Int64, uptime: UInt64) {
        self.unixSeconds = unixSeconds
        self.uptime = uptime
    }

    /// The time slot of the wall clock.
    package var slot: TimeSlot { TimeSlot(unixSeconds: unixSeconds) }
}
