// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockProtocol
package import Logging
package import NetfilterQueue
package import Settings
package import SystemPackage

extension CommonSettings {
    /// Makes the logger that the settings ask for.
    package func logger(_ label: String) -> Logger {
        let handler =
            switch logTarget {
            case .stderr: LogLineHandler(level: logLevel, format: logFormat)
            case .syslog: LogLineHandler(level: logLevel, format: logFormat, syslog: Syslog(program: label))
            }
        return Logger(label: label) { _ in handler }
    }

    /// What both daemons say of themselves when they are ready.
    ///
    /// - Parameters:
    ///   - queues: What is bound.
    ///   - ports: What is looked after.
    ///   - fingerprint: That of the key; nil where there is more than one.
    /// - Returns: Values for the log.
    package func details(
        queues: ClosedRange<UInt16>, ports: [UInt16], fingerprint: String?
    ) -> Logger.Metadata {
        var details: Logger.Metadata = [
            "version": "\(version)", "queue": "\(QueueNumbers.text(queues))",
            "ports": "\(ports.map(String.init).joined(separator: ","))",
        ]
        if let fingerprint { details["key"] = "\(fingerprint)" }
        return details
    }
}

extension EffectiveSettings {
    /// Writes to the log what is right but hardly meant.
    package func logWarnings(to logger: Logger) {
        for warning in warnings { logger.warning("\(warning)") }
    }
}

extension KeySchedule {
    /// Reads a key file, whosesoever it is.
    package static func read(_ path: FilePath) throws(FatalError) -> KeySchedule { try read(path, owners: nil) }

    /// Reads a key file of a daemon.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - user: Whom the daemon becomes, as in the settings: beside root and who it is now, the file may be theirs.
    /// - Returns: The keys.
    /// - Throws: What is wrong with it.
    static func read(_ path: FilePath, forDaemonOf user: String?) throws(FatalError) -> KeySchedule {
        let identity = try Privileges.find(user)
        return try read(path, owners: [0, geteuid()] + (identity.map { [$0.user] } ?? []))
    }

    private static func read(_ path: FilePath, owners: [UInt32]?) throws(FatalError) -> KeySchedule {
        do throws(KeyFileError) {
            return try KeyFile.read(path, owners: owners, opening: FileBroker.open)
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
