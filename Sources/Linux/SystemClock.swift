// SPDX-License-Identifier: GPL-2.0-or-later
package import Glibc

/// The host's clocks.
///
/// No other code reads them.
package enum SystemClock {
    /// The time in seconds since 1970.
    package static var unixSeconds: Int64 { Int64(read(CLOCK_REALTIME).tv_sec) }

    /// The time since boot in milliseconds, including suspend.
    package static var uptime: UInt64 {
        let uptime = read(CLOCK_BOOTTIME)
        return UInt64(max(0, uptime.tv_sec)) * 1000 + UInt64(uptime.tv_nsec / 1_000_000)
    }

    /// Returns the current time in UTC in the format of RFC 3339, with milliseconds.
    package static func timestamp() -> String {
        let now = read(CLOCK_REALTIME)
        let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
        return "\(timestamp(unixSeconds: Int64(now.tv_sec)).dropLast()).\(milliseconds)Z"
    }

    /// Returns a time in UTC, given in seconds since 1970, in the format of RFC 3339; empty if it is out of range.
    package static func timestamp(unixSeconds: Int64) -> String {
        var seconds = time_t(unixSeconds)
        var parts = unsafe tm()
        guard unsafe gmtime_r(&seconds, &parts) != nil else { return "" }
        return unsafe text("%Y-%m-%dT%H:%M:%SZ", parts)
    }

    /// Returns the current local time in the format of syslog(3) (RFC 3164 §4.1.2).
    package static func syslogTimestamp() -> String {
        var seconds = read(CLOCK_REALTIME).tv_sec
        var parts = unsafe tm()
        unsafe localtime_r(&seconds, &parts)
        return unsafe text("%b %e %H:%M:%S", parts)
    }

    private static func text(_ format: String, _ parts: tm) -> String {
        var parts = unsafe parts
        var text = [CChar](repeating: 0, count: 64)
        let length = unsafe strftime(&text, text.count, format, &parts)
        return String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Returns the time of a clock, in nanoseconds.
    package static func nanoseconds(_ clock: clockid_t) -> Int64 {
        let time = read(clock)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }
}
