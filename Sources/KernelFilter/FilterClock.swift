// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// Simultaneous readings of two clocks, in nanoseconds: BPF programs can only read the second, but need the first.
package struct FilterClock: Equatable, Sendable {
    /// CLOCK_REALTIME.
    package var wallClock: Int64
    /// CLOCK_MONOTONIC.
    package var monotonic: Int64

    package init(wallClock: Int64, monotonic: Int64) {
        self.wallClock = wallClock
        self.monotonic = monotonic
    }

    /// The difference to add to `monotonic` to get `wallClock`.
    var offset: Int64 { wallClock &- monotonic }

    /// The time slot of the wall clock.
    var slot: TimeSlot { TimeSlot(unixSeconds: wallClock / 1_000_000_000) }
}
