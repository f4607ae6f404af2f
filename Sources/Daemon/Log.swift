// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
internal import Logging

/// How log lines look.
package enum LogFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// `time LEVEL message name=value ...`.
    case text
    /// One JSON object a line: `time`, `level`, `message`, and the values by their names.
    case json
    /// `<N>LEVEL message name=value ...` with the priority N of sd-daemon(3) and no time, which the journal knows.
    case journal
}

/// Where log lines go.
package enum LogTarget: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// Standard error.
    case stderr
    /// The host's syslog daemon.
    case syslog
}

/// How much is logged: lines of this level and those above it.
package enum LogLevel: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// Also each dropped packet, up to some lines a second.
    case debug
    /// Also each connection.
    case info
    /// Also starts and stops, and connections that were closed.
    case notice
    /// Lockouts, servers that did not prove themselves, lost packets.
    case warning
    /// Only what keeps the daemon from its work.
    case error

    var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
