// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
internal import Linux

extension Instant {
    /// Returns the whole seconds from this instant to a later one.
    package func seconds(until later: Instant) -> UInt64 {
        later.uptime > uptime ? (later.uptime - uptime) / 1000 : 0
    }
}
