// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// All values of a `Packet`, in a form that can be kept and compared.
package struct ParsedPacket: Equatable, Sendable {
    /// The family of the IP header.
    package var family: IPFamily
    /// The offset of the TCP header, in bytes.
    package var transportOffset: Int
    /// The total length according to the IP header, in bytes.
    package var totalLength: Int
    /// The source address.
    package var source: IPAddress
    /// The destination address.
    package var destination: IPAddress
    /// The identification field or flow label.
    package var identifier: UInt32
    /// The source port.
    package var sourcePort: UInt16
    /// The destination port.
    package var destinationPort: UInt16
    /// The sequence number.
    package var sequenceNumber: UInt32
    /// The acknowledgment field.
    package var acknowledgmentNumber: UInt32
    /// The control bits.
    package var flags: TCPFlags
    /// The length of the TCP header, in bytes.
    package var headerLength: Int
    /// The TCP checksum, right or wrong.
    package var checksum: UInt16
    /// Whether the bytes contain the whole packet.
    package var isComplete: Bool
    /// Whether the TCP checksum is right.
    package var hasValidTCPChecksum: Bool

    package init(
        family: IPFamily, transportOffset: Int, totalLength: Int, source: IPAddress, destination: IPAddress,
        identifier: UInt32, sourcePort: UInt16, destinationPort: UInt16, sequenceNumber: UInt32,
        acknowledgmentNumber: UInt32, flags: TCPFlags, headerLength: Int, checksum: UInt16, isComplete: Bool,
        hasValidTCPChecksum: Bool
    ) {
        self.family = family
        self.transportOffset = transportOffset
        self.totalLength = totalLength
        self.source = source
        self.destination = destination
        self.identifier = identifier
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequenceNumber = sequenceNumber
        self.acknowledgmentNumber = acknowledgmentNumber
        self.flags = flags
        self.headerLength = headerLength
        self.checksum = checksum
        self.isComplete = isComplete
        self.hasValidTCPChecksum = hasValidTCPChecksum
    }

    /// Validates the bytes and calls every accessor.
    ///
    /// - Throws: `WireError` as thrown by `Packet(validating:)`.
    package init(_ bytes: [UInt8]) throws(WireError) {
        let packet = try Packet(validating: bytes.span)
        self.init(
            family: packet.layout.family, transportOffset: packet.layout.transportOffset,
            totalLength: packet.layout.totalLength, source: packet.source, destination: packet.destination,
            identifier: packet.identifier, sourcePort: packet.segment.sourcePort,
            destinationPort: packet.segment.destinationPort, sequenceNumber: packet.segment.sequenceNumber,
            acknowledgmentNumber: packet.segment.acknowledgmentNumber, flags: packet.segment.flags,
            headerLength: packet.segment.headerLength, checksum: packet.segment.checksum,
            isComplete: packet.isComplete, hasValidTCPChecksum: packet.hasValidTCPChecksum)
    }
}
