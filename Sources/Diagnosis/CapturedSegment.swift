// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// The two ends of a connection, the one that sent the SYN first.
package struct Endpoints: Hashable, Sendable {
    /// The address of the end that sent the SYN.
    package let clientAddress: IPAddress
    /// The port of the end that sent the SYN.
    package let clientPort: UInt16
    /// The address of the end that answers it.
    package let serverAddress: IPAddress
    /// The port of the end that answers it.
    package let serverPort: UInt16

    /// Names both ends.
    package init(clientAddress: IPAddress, clientPort: UInt16, serverAddress: IPAddress, serverPort: UInt16) {
        self.clientAddress = clientAddress
        self.clientPort = clientPort
        self.serverAddress = serverAddress
        self.serverPort = serverPort
    }
}

/// What a handshake is traced by: the header fields of one captured TCP segment.
package struct CapturedSegment: Equatable, Sendable {
    /// When it was captured.
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
    package let nonceField: UInt32
    /// The length of what follows the TCP header, in bytes, as the headers give it.
    package let payloadLength: Int

    /// Reads an IP packet, or the first part of one with all its headers.
    ///
    /// - Throws: What is wrong with it, as `Packet(validating:)`.
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
        nonceField = packet.nonceField
        payloadLength = max(
            0, packet.layout.totalLength - packet.layout.transportOffset - packet.segment.headerLength)
    }

    /// The ends, if the client sent this.
    package var endpointsFromClient: Endpoints {
        Endpoints(
            clientAddress: source, clientPort: sourcePort, serverAddress: destination, serverPort: destinationPort)
    }

    /// The ends, if the server sent this.
    package var endpointsFromServer: Endpoints {
        Endpoints(
            clientAddress: destination, clientPort: destinationPort, serverAddress: source, serverPort: sourcePort)
    }
}
