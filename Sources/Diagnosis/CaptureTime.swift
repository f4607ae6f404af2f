// SPDX-License-Identifier: GPL-2.0-or-later

/// When a packet was captured, by the clock of the host that captured it.
package struct CaptureTime: Hashable, Sendable {
    /// Seconds since 1970-01-01 00:00 UTC.
    package let seconds: Int64
    /// Nanoseconds within the second.
    package let nanoseconds: Int64

    /// Takes both parts.
    package init(seconds: Int64, nanoseconds: Int64 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Microseconds since an earlier time; a file may hold any numbers, so sums wrap.
    package func microseconds(since start: CaptureTime) -> Int64 {
        (seconds &- start.seconds) &* 1_000_000 &+ (nanoseconds &- start.nanoseconds) / 1000
    }
}
