// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import Logging
package import Netfilter
internal import Program
package import Settings

extension DaemonSettings {
    /// Returns the details that both daemons log when they are ready.
    ///
    /// - Parameters:
    ///   - queues: The bound queues.
    ///   - ports: The ports that the daemon serves.
    ///   - fingerprint: The fingerprint of the key; nil if there is more than one key.
    /// - Returns: The details for the log.
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

extension Queue {
    /// Binds a queue, and explains the error if that fails.
    package static func bind(_ number: UInt16, _ options: Options) throws(FatalError) -> Queue {
        do throws(SystemError) {
            return try Queue(number: number, options: options)
        } catch {
            throw explanation(of: error, binding: number)
        }
    }

    /// Explains why a queue cannot be bound.
    static func explanation(of error: SystemError, binding number: UInt16) -> FatalError {
        guard error.number == EPERM || error.number == EBUSY else { return error.fatal.at("queue \(number)") }
        if let owner = owner(of: number) {
            return FatalError(
                "queue \(number) is bound by another process already (netlink port \(owner), mostly its process id)",
                cure: "stop that one, or choose another queue here and in the firewall rules with --queue-num",
                status: .unavailable)
        }
        return FatalError(
            "not permitted", at: "queue \(number)", cure: "binding a queue needs CAP_NET_ADMIN, so run this as root",
            status: .noPermission)
    }
}
