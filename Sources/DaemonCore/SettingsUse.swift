// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
package import Logging
package import Netfilter
package import Program
package import Settings

extension CommonSettings {
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
