// SPDX-License-Identifier: GPL-2.0-or-later
internal import Logging

extension Logger.Level {
    /// The priority used by syslog(3) and sd-daemon(3).
    var priority: Syslog.Priority {
        switch self {
        case .trace, .debug: .debug
        case .info: .informational
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }
}
