// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockEngine

/// The clocks of the host; the one place that asks them.
package enum SystemClock {
    /// Reads both clocks, without a system call on most hosts.
    package static func now() -> Instant {
        let uptime = read(CLOCK_BOOTTIME)
        return Instant(
            unixSeconds: Int64(read(CLOCK_REALTIME).tv_sec),
            uptime: UInt64(max(0, uptime.tv_sec)) * 1000 + UInt64(uptime.tv_nsec / 1_000_000))
    }

    /// The time of day in UTC as RFC 3339 writes it, with milliseconds.
    static func timestamp() -> String {
        let now = read(CLOCK_REALTIME)
        var seconds = now.tv_sec
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let length = unsafe strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S.", &parts)
        let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
        return String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self) + milliseconds + "Z"
    }

    /// One clock's reading in nanoseconds.
    static func nanoseconds(_ clock: clockid_t) -> Int64 {
        let time = read(clock)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }
}
