// SPDX-License-Identifier: GPL-2.0-or-later

/// The packet that a closed port answers with (RFC 9293 §3.10.7.1, CLOSED STATE), built as Linux builds it.
public enum ResetSegment {
    /// The maximum length in bytes: an IPv6 header and a TCP header.
    public static let maximumLength = 60

    /// Writes the answer to a packet.
    ///
    /// - Parameters:
    ///   - packet: The packet to answer.
    ///   - hops: The time to live (IPv4) and hop limit (IPv6).
    ///   - flowLabel: The flow label for IPv6, 20 bits.
    ///   - bytes: Receives the answer at offset 0; traps if shorter than `maximumLength`.
    /// - Returns: The length of the answer; nil if a closed port would not answer: to a RST or a damaged segment.
    @_lifetime(bytes: copy bytes)
    public static func write(
        answering packet: borrowing Packet, hops: (ipv4: UInt8, ipv6: UInt8), flowLabel: UInt32,
        to bytes: inout MutableSpan<UInt8>
    ) -> Int? {
        let segment = packet.segment
        guard !segment.flags.contains(.rst), packet.hasValidTCPChecksum else { return nil }
        let isIPv4 = packet.layout.family == .ipv4
        let transport = isIPv4 ? 20 : 40
        for index in 0..<transport + 20 { bytes[index] = 0 }
        // The traffic class is that of the packet, without the congestion bits (RFC 3168 §6.1.1).
        let trafficClass = packet.trafficClass & 0xfc
        if isIPv4 {
            bytes.store(0x4500_0028 | UInt32(trafficClass) << 16, at: 0)
            // Don't Fragment is set, so no identification is needed (RFC 6864 §4.1).
            bytes.store(0x4000 as UInt16, at: 6)
            bytes[8] = hops.ipv4
            bytes[9] = TCPSegment.protocolNumber
            bytes.store(UInt32(truncatingIfNeeded: packet.destination.low), at: 12)
            bytes.store(UInt32(truncatingIfNeeded: packet.source.low), at: 16)
            var checksum = InternetChecksum()
            checksum.add(bytes.span.extracting(0..<20))
            bytes.store(checksum.value, at: 10)
        } else {
            bytes.store(0x6000_0000 | UInt32(trafficClass) << 20 | flowLabel & 0x000f_ffff, at: 0)
            bytes.store(20 as UInt16, at: 4)
            bytes[6] = TCPSegment.protocolNumber
            bytes[7] = hops.ipv6
            store(packet.destination, at: 8, in: &bytes)
            store(packet.source, at: 24, in: &bytes)
        }
        writeSegment(answering: packet, at: transport, in: &bytes)
        return transport + 20
    }

    @_lifetime(bytes: copy bytes)
    private static func writeSegment(
        answering packet: borrowing Packet, at start: Int, in bytes: inout MutableSpan<UInt8>
    ) {
        let segment = packet.segment
        bytes.store(segment.destinationPort, at: start)
        bytes.store(segment.sourcePort, at: start + 2)
        if segment.flags.contains(.ack) {
            bytes.store(segment.acknowledgmentNumber, at: start + 4)
            bytes[start + 13] = TCPFlags.rst.rawValue
        } else {
            let payload = packet.layout.totalLength - packet.layout.transportOffset - segment.headerLength
            var length = UInt32(truncatingIfNeeded: max(0, payload))
            if segment.flags.contains(.syn) { length &+= 1 }
            if segment.flags.contains(.fin) { length &+= 1 }
            bytes.store(segment.sequenceNumber &+ length, at: start + 8)
            bytes[start + 13] = TCPFlags([.rst, .ack]).rawValue
        }
        bytes[start + 12] = 5 << 4
        var checksum = InternetChecksum()
        checksum.add(packet.source)
        checksum.add(packet.destination)
        checksum.add(20 as UInt32)
        checksum.add(UInt16(TCPSegment.protocolNumber))
        checksum.add(bytes.span.extracting(start..<start + 20))
        bytes.store(checksum.value, at: start + 16)
    }

    @_lifetime(bytes: copy bytes)
    private static func store(_ address: IPAddress, at offset: Int, in bytes: inout MutableSpan<UInt8>) {
        bytes.store(address.high, at: offset)
        bytes.store(address.low, at: offset + 8)
    }
}
