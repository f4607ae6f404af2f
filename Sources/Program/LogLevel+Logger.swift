// SPDX-License-Identifier: GPL-2.0-or-later
internal import Logging
internal import Settings

extension LogLevel {
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
