// SPDX-License-Identifier: GPL-2.0-or-later

/// An IP packet that contains a TCP segment, validated once; all bytes from the network enter through this type.
public struct Packet: ~Escapable {
    @usableFromInline let bytes: Span<UInt8>

    /// The positions of the parts, for a rewrite of the same bytes.
    public let layout: PacketLayout
    /// The source address.
    public let source: IPAddress
    /// The destination address.
    public let destination: IPAddress
    /// The field that carries the nonce of a handshake: the identification field for IPv4, the flow label for IPv6.
    public let identifier: UInt32
    /// The TCP segment, up to the end of the IP packet.
    public let segment: TCPSegment
    /// Whether the source of the bytes has verified the TCP checksum.
    @usableFromInline let checksumVerified: Bool

    /// Checks that `bytes` are an IP packet of either family that contains TCP; afterwards no accessor traps.
    ///
    /// The bytes may be the first part of a longer packet, as long as they include all headers (see `isComplete`). They
    /// may also be longer than the packet, like a short Ethernet frame with padding.
    ///
    /// - Parameters:
    ///   - bytes: The packet, or its first part.
    ///   - checksumVerified: Whether the source of the bytes has verified the TCP checksum.
    /// - Throws: The first problem found.
    @inlinable
    @_lifetime(copy bytes)
    public init(validating bytes: Span<UInt8>, checksumVerified: Bool = false) throws(WireError) {
        guard bytes.count >= 1 else { throw .truncated }
        self.bytes = bytes
        self.checksumVerified = checksumVerified
        let transportOffset: Int
        let totalLength: Int
        if bytes[0] >> 4 == 4 {
            let header = try IPv4Header(validating: bytes)
            guard !header.isFragment else { throw .fragment }
            guard header.transportProtocol == TCPSegment.protocolNumber else { throw .notTCP }
            (transportOffset, totalLength) = (header.headerLength, header.totalLength)
            source = header.source
            destination = header.destination
            identifier = UInt32(header.identification)
            layout = PacketLayout(family: .ipv4, transportOffset: transportOffset, totalLength: totalLength)
        } else {
            let header = try IPv6Header(validating: bytes)
            guard !header.isFragment else { throw .fragment }
            guard header.transportProtocol == TCPSegment.protocolNumber else { throw .notTCP }
            (transportOffset, totalLength) = (header.transportOffset, header.totalLength)
            source = header.source
            destination = header.destination
            // Such addresses must not occur on the wire (draft-itojun-v6ops-v4mapped-harmful), and here they would mean
            // IPv4.
            guard source.family == .ipv6, destination.family == .ipv6 else { throw .malformed }
            identifier = header.flowLabel
            layout = PacketLayout(family: .ipv6, transportOffset: transportOffset, totalLength: totalLength)
        }
        guard totalLength >= transportOffset else { throw .malformed }
        let end = min(totalLength, bytes.count)
        segment = try TCPSegment(validating: bytes.extracting(transportOffset..<end))
    }

    /// The type of service (IPv4) or traffic class (IPv6), including the congestion bits.
    @inlinable
    public var trafficClass: UInt8 {
        layout.family == .ipv4 ? bytes[1] : bytes[0] << 4 | bytes[1] >> 4
    }

    /// Whether the bytes include the whole packet.
    @inlinable
    public var isComplete: Bool { bytes.count >= layout.totalLength }

    /// Whether the segment carries data, even if the data is not included in the bytes.
    @inlinable
    public var hasData: Bool { layout.totalLength > layout.transportOffset + segment.headerLength }

    /// Whether the checksum of the TCP segment is correct (RFC 9293 §3.1).
    ///
    /// For an incomplete packet, this is whatever the source of the bytes has reported.
    @inlinable
    public var hasValidTCPChecksum: Bool {
        guard isComplete else { return checksumVerified }
        var checksum = InternetChecksum()
        checksum.add(source)
        checksum.add(destination)
        checksum.add(UInt32(segment.bytes.count))
        checksum.add(UInt16(TCPSegment.protocolNumber))
        checksum.add(segment.bytes)
        return checksum.folded == 0xffff
    }
}
