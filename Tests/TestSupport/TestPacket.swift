// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// A TCP segment in an IP packet, assembled byte by byte.
///
/// The source address determines the family.
package struct TestPacket: Sendable {
    /// The source address.
    package var source = IPAddress(192, 0, 2, 10)
    /// The destination address.
    package var destination = IPAddress(198, 51, 100, 22)
    /// The source port.
    package var sourcePort: UInt16 = 40_000
    /// The destination port.
    package var destinationPort: UInt16 = 22
    /// The sequence number.
    package var sequenceNumber: UInt32 = 0
    /// The acknowledgment field.
    package var acknowledgmentNumber: UInt32 = 0
    /// The control bits.
    package var flags: TCPFlags = .syn
    /// The TCP options; a multiple of 4 bytes.
    package var tcpOptions: [UInt8] = []
    /// The payload after the TCP header.
    package var payload: [UInt8] = []
    /// The identification field or flow label.
    package var identifier: UInt32 = 0
    /// The IPv4 options, a multiple of 4 bytes, or the IPv6 extension headers.
    ///
    /// `firstNextHeader` is the type of the first.
    package var networkOptions: [UInt8] = []
    /// The type of the first IPv6 extension header.
    ///
    /// Each header contains the type of the next.
    package var firstNextHeader: UInt8 = 6

    package init() {}

    /// The length of the IP header, in bytes, with its options or extension headers.
    package var transportOffset: Int { (source.family == .ipv4 ? 20 : 40) + networkOptions.count }

    /// The packet, with correct checksums.
    package var bytes: [UInt8] {
        var segment = sourcePort.networkBytes + destinationPort.networkBytes
        segment += sequenceNumber.networkBytes + acknowledgmentNumber.networkBytes
        segment += [UInt8((20 + tcpOptions.count) / 4) << 4, flags.rawValue]
        segment += [0xfa, 0xf0, 0, 0, 0, 0] + tcpOptions + payload
        let addresses =
            source.family == .ipv4
            ? UInt32(truncatingIfNeeded: source.low).networkBytes
                + UInt32(truncatingIfNeeded: destination.low).networkBytes
            : source.high.networkBytes + source.low.networkBytes
                + destination.high.networkBytes + destination.low.networkBytes
        let pseudoHeader = addresses + UInt32(segment.count).networkBytes + [0, 0, 0, 6]
        segment.replaceSubrange(16..<18, with: PlainChecksum.checksum(pseudoHeader + segment).networkBytes)

        switch source.family {
        case .ipv4:
            var header = [0x40 | UInt8(5 + networkOptions.count / 4), 0]
            header += UInt16(20 + networkOptions.count + segment.count).networkBytes
            header += UInt16(truncatingIfNeeded: identifier).networkBytes + [0x40, 0, 64, 6, 0, 0]
            header += addresses + networkOptions
            header.replaceSubrange(10..<12, with: PlainChecksum.checksum(header).networkBytes)
            return header + segment
        case .ipv6:
            var header = (0x6000_0000 | identifier & 0xf_ffff).networkBytes
            header += UInt16(networkOptions.count + segment.count).networkBytes
            header += [networkOptions.isEmpty ? 6 : firstNextHeader, 64] + addresses + networkOptions
            return header + segment
        }
    }
}
