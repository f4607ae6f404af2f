// SPDX-License-Identifier: GPL-2.0-or-later

/// The destination of log lines.
package enum LogTarget: String, CaseIterable, Sendable {
    /// Standard error.
    case stderr
    /// The system's log (syslog(3)).
    case syslog
}
