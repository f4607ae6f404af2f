// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging
package import Settings

extension DaemonSettings {
    /// Creates the logger that the settings ask for.
    package func logger(_ label: String) -> Logger {
        let handler =
            switch shared.logTarget {
            case .stderr: LogLineHandler(level: shared.logLevel, format: shared.logFormat)
            case .syslog:
                LogLineHandler(level: shared.logLevel, format: shared.logFormat, syslog: Syslog(program: label))
            }
        return Logger(label: label) { _ in handler }
    }
}

extension EffectiveSettings {
    /// Logs the warnings about settings that are valid but probably not intended.
    package func logWarnings(to logger: Logger) {
        for warning in warnings { logger.warning("\(warning)") }
    }
}
