// SPDX-License-Identifier: GPL-2.0-or-later

/// The time at which a packet was captured, by the clock of the host that captured it.
package struct CaptureTime: Hashable, Sendable {
    /// Seconds since 1970-01-01 00:00 UTC.
    package let seconds: Int64
    /// Nanoseconds within the second.
    package let nanoseconds: Int64

    package init(seconds: Int64, nanoseconds: Int64 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Returns the microseconds since an earlier time.
    ///
    /// A file may hold any numbers, so sums wrap.
    package func microseconds(since start: CaptureTime) -> Int64 {
        (seconds &- start.seconds) &* 1_000_000 &+ (nanoseconds &- start.nanoseconds) / 1000
    }
}
