// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
package import Logging
internal import Netfilter
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
