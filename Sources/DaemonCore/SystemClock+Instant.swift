// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Linux

extension SystemClock {
    /// Reads both clocks, without a system call on most hosts.
    package static func now() -> Instant { Instant(unixSeconds: unixSeconds, uptime: uptime) }
}
