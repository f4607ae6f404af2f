// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// A reading of two clocks at the same moment, in nanoseconds: the program can ask only the second, but needs the first.
package struct FilterClock: Equatable, Sendable {
    /// CLOCK_REALTIME.
    package var wallClock: Int64
    /// CLOCK_MONOTONIC.
    package var monotonic: Int64

    /// Takes the readings of both clocks.
    package init(wallClock: Int64, monotonic: Int64) {
        self.wallClock = wallClock
        self.monotonic = monotonic
    }

    /// What is to be added to the second clock for the first.
    var offset: Int64 { wallClock &- monotonic }

    /// The time slot of the wall clock.
    var slot: TimeSlot { TimeSlot(unixSeconds: wallClock / 1_000_000_000) }
}
