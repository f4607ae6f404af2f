// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// A TCP segment without data, with its IP header, to be sent past the host's own TCP.
///
/// The source address determines the family.
package struct CraftedSegment: Equatable, Sendable {
    /// The source address.
    package var source: IPAddress
    /// The destination address, of the same family.
    package var destination: IPAddress
    /// The source port.
    package var sourcePort: UInt16
    /// The destination port.
    package var destinationPort: UInt16
    /// The sequence number.
    package var sequenceNumber: UInt32 = 0
    /// The acknowledgment field.
    package var acknowledgmentNumber: UInt32 = 0
    /// The control bits.
    package var flags: TCPFlags = .syn
    /// The identification field or flow label.
    ///
    /// The kernel replaces an identification of 0 with one of its own.
    package var identifier: UInt32 = 0
    /// The time to live or hop limit.
    package var hopLimit = usualHopLimit

    /// The time to live or hop limit of ordinary packets of Linux.
    package static let usualHopLimit: UInt8 = 64

    package init(source: IPAddress, sourcePort: UInt16, destination: IPAddress, destinationPort: UInt16) {
        self.source = source
        self.sourcePort = sourcePort
        self.destination = destination
        self.destinationPort = destinationPort
    }

    /// A maximum segment size option with the value for Ethernet (RFC 9293 §3.7.1).
    ///
    /// A SYN without one would look unusual.
    private static let segmentSizeOption: [UInt8] = [2, 4, 0x05, 0xb4]

    /// The packet, with correct checksums.
    package var bytes: [UInt8] {
        let options = flags.contains(.syn) ? Self.segmentSizeOption : []
        let length = 20 + options.count
        var segment = [UInt8](repeating: 0, count: 20) + options
        var fields = segment.mutableSpan
        fields.store(sourcePort, at: 0)
        fields.store(destinationPort, at: 2)
        fields.store(sequenceNumber, at: 4)
        fields.store(acknowledgmentNumber, at: 8)
        fields[12] = UInt8(truncatingIfNeeded: length / 4) << 4
        fields[13] = flags.rawValue
        fields.store(UInt16(64_240), at: 14)
        var checksum = InternetChecksum()
        checksum.add(source)
        checksum.add(destination)
        checksum.add(UInt32(length))
        checksum.add(UInt16(TCPSegment.protocolNumber))
        checksum.add(fields.span)
        fields.store(checksum.value, at: 16)
        return header(payloadLength: length) + segment
    }

    private func header(payloadLength: Int) -> [UInt8] {
        if let from = source.ipv4, let to = destination.ipv4 {
            var header = [UInt8](repeating: 0, count: 20)
            var fields = header.mutableSpan
            fields[0] = 0x45
            fields.store(UInt16(truncatingIfNeeded: 20 + payloadLength), at: 2)
            fields.store(UInt16(truncatingIfNeeded: identifier), at: 4)
            fields.store(UInt16(0x4000), at: 6)  // don't fragment, as Linux sets it
            fields[8] = hopLimit
            fields[9] = TCPSegment.protocolNumber
            fields.store(from, at: 12)
            fields.store(to, at: 16)
            var checksum = InternetChecksum()
            checksum.add(fields.span)
            fields.store(checksum.value, at: 10)
            return header
        }
        var header = [UInt8](repeating: 0, count: 40)
        var fields = header.mutableSpan
        fields.store(0x6000_0000 | identifier & 0x000f_ffff, at: 0)
        fields.store(UInt16(truncatingIfNeeded: payloadLength), at: 4)
        fields[6] = TCPSegment.protocolNumber
        fields[7] = hopLimit
        fields.store(source.high, at: 8)
        fields.store(source.low, at: 16)
        fields.store(destination.high, at: 24)
        fields.store(destination.low, at: 32)
        return header
    }
}
