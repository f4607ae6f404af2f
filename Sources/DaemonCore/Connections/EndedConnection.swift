// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import KnockEngine
package import Logging
package import Wire

/// A connection that has ended, as it is logged.
package struct EndedConnection: Equatable, Sendable {
    /// The addresses and ports of the connection.
    package let flow: Flow
    /// The information about the connection while it was open.
    package let connection: OpenConnection
    /// The duration in seconds.
    package let seconds: UInt64
    /// The bytes from and to the client, including IP headers; nil if they were not counted.
    package let bytes: ByteCount?

    /// Returns the details for the log.
    package func metadata(_ partyLabel: String, _ party: String?) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "client": "\(flow.client)", "server": "\(flow.server)", "seconds": "\(seconds)",
        ]
        if let party { metadata[partyLabel] = "\(party)" }
        if let reason = connection.ending { metadata["reason"] = "\(reason)" }
        if let bytes {
            metadata["bytes-received"] = "\(bytes.received)"
            metadata["bytes-sent"] = "\(bytes.sent)"
        }
        return metadata
    }
}
