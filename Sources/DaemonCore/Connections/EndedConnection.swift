// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import KnockEngine
package import Logging
package import Wire

/// A connection that has ended, as the audit tells it.
package struct EndedConnection: Equatable, Sendable {
    /// Its two ends.
    package let flow: Flow
    /// What was known of it while it was open.
    package let connection: OpenConnection
    /// How long it was open, in seconds.
    package let seconds: UInt64
    /// Bytes from and to the client, IP headers included; nil where they were not counted.
    package let bytes: ByteCount?

    /// What the log says of it.
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
