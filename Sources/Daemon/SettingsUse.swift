// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Logging
package import NetfilterQueue
package import Settings
package import SystemPackage

extension CommonSettings {
    /// Makes the logger that the settings ask for.
    package func logger(_ label: String) -> Logger {
        let handler = LogLineHandler(level: logLevel, format: logFormat)
        return Logger(label: label) { _ in handler }
    }

    /// What both daemons say of themselves when they are ready.
    package func details(queues: ClosedRange<UInt16>, keys: KeySchedule) -> Logger.Metadata {
        [
            "version": "\(version)", "queue": "\(QueueNumbers.text(queues))", "key": "\(keys.fingerprint)",
            "ports": "\(targetPorts.map(String.init).joined(separator: ","))",
        ]
    }
}

extension EffectiveSettings {
    /// Writes to the log what is right but hardly meant.
    package func logWarnings(to logger: Logger) {
        for warning in warnings { logger.warning("\(warning)") }
    }
}

extension KeySchedule {
    /// Reads a key file.
    package static func read(_ path: FilePath) throws(FatalError) -> KeySchedule {
        do throws(KeyFileError) {
            return try KeyFile.read(path)
        } catch {
            throw FatalError(error)
        }
    }
}

extension Queue {
    /// Binds a queue.
    package static func bind(_ number: UInt16, _ options: Options) throws(FatalError) -> Queue {
        do throws(SystemError) {
            return try Queue(number: number, options: options)
        } catch {
            throw FatalError(binding: number, error)
        }
    }
}
