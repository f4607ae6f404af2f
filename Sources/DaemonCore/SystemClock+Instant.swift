// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Linux

extension SystemClock {
    /// Reads both clocks; on most hosts, without a system call.
    package static func now() -> Instant { Instant(unixSeconds: unixSeconds, uptime: uptime) }
}
