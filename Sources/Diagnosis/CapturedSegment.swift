// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// The header fields of a captured TCP segment that a handshake is traced by.
package struct CapturedSegment: Equatable, Sendable {
    /// The time of the capture.
    package let time: CaptureTime
    /// The source address.
    package let source: IPAddress
    /// The destination address.
    package let destination: IPAddress
    /// The source port.
    package let sourcePort: UInt16
    /// The destination port.
    package let destinationPort: UInt16
    /// The sequence number.
    package let sequenceNumber: UInt32
    /// The acknowledgment field, whether or not the ACK flag makes it significant.
    package let acknowledgmentNumber: UInt32
    /// The control bits.
    package let flags: TCPFlags
    /// The identification field (IPv4) or flow label (IPv6).
    package let identifier: UInt32
    /// The length of the payload after the TCP header, in bytes, according to the headers.
    package let payloadLength: Int

    /// Reads an IP packet, or the first part of one with all its headers.
    ///
    /// - Throws: `WireError` as thrown by `Packet(validating:)`.
    package init(_ bytes: Span<UInt8>, at time: CaptureTime) throws(WireError) {
        let packet = try Packet(validating: bytes)
        self.time = time
        source = packet.source
        destination = packet.destination
        sourcePort = packet.segment.sourcePort
        destinationPort = packet.segment.destinationPort
        sequenceNumber = packet.segment.sequenceNumber
        acknowledgmentNumber = packet.segment.acknowledgmentNumber
        flags = packet.segment.flags
        identifier = packet.identifier
        payloadLength = max(
            0, packet.layout.totalLength - packet.layout.transportOffset - packet.segment.headerLength)
    }

    /// The connection if the client sent this segment.
    package var flowFromClient: Flow {
        Flow(clientAddress: source, clientPort: sourcePort, serverAddress: destination, serverPort: destinationPort)
    }

    /// The connection if the server sent this segment.
    package var flowFromServer: Flow {
        Flow(clientAddress: destination, clientPort: destinationPort, serverAddress: source, serverPort: sourcePort)
    }
}
