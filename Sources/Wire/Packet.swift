// SPDX-License-Identifier: GPL-2.0-or-later

/// The one door for bytes from the network: an IP packet with a TCP segment in it, checked once.
public struct Packet: ~Escapable {
    @usableFromInline let bytes: Span<UInt8>

    /// Where the parts lie, for a rewrite of the same bytes.
    public let layout: PacketLayout
    /// The source address.
    public let source: IPAddress
    /// The destination address.
    public let destination: IPAddress
    /// Where the nonce of a handshake travels: the identification field for IPv4, the flow label for IPv6.
    public let nonceField: UInt32
    /// The TCP segment; its bytes end where the IP packet ends.
    public let segment: TCPSegment
    /// Whether whoever delivered the bytes has verified the TCP checksum.
    @usableFromInline let checksumVerified: Bool

    /// Checks that `bytes` are an IP packet of either family with a TCP segment; afterwards no accessor traps.
    ///
    /// The bytes may be the first part of a longer packet, as long as all headers are in them (see `isComplete`), and
    /// they may be longer than the packet, as behind the padding of a short Ethernet frame.
    ///
    /// - Parameters:
    ///   - bytes: The packet, or its first part.
    ///   - checksumVerified: Whether whoever delivers the bytes has verified the TCP checksum.
    /// - Throws: What is wrong with the first part that is.
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
            nonceField = UInt32(header.identification)
            layout = PacketLayout(family: .ipv4, transportOffset: transportOffset, totalLength: totalLength)
        } else {
            let header = try IPv6Header(validating: bytes)
            guard !header.isFragment else { throw .fragment }
            guard header.transportProtocol == TCPSegment.protocolNumber else { throw .notTCP }
            (transportOffset, totalLength) = (header.transportOffset, header.totalLength)
            source = header.source
            destination = header.destination
            // On the wire these belong to nobody (draft-itojun-v6ops-v4mapped-harmful), and here they would mean IPv4.
            guard source.family == .ipv6, destination.family == .ipv6 else { throw .malformed }
            nonceField = header.flowLabel
            layout = PacketLayout(family: .ipv6, transportOffset: transportOffset, totalLength: totalLength)
        }
        guard totalLength >= transportOffset else { throw .malformed }
        let end = min(totalLength, bytes.count)
        segment = try TCPSegment(validating: bytes.extracting(transportOffset..<end))
    }

    /// The service class, with the bits for congestion: type of service for IPv4, traffic class for IPv6.
    @inlinable
    public var trafficClass: UInt8 {
        layout.family == .ipv4 ? bytes[1] : bytes[0] << 4 | bytes[1] >> 4
    }

    /// Whether the bytes hold the packet to its end.
    @inlinable
    public var isComplete: Bool { bytes.count >= layout.totalLength }

    /// Whether the segment carries data, in the bytes or behind them.
    @inlinable
    public var hasData: Bool { layout.totalLength > layout.transportOffset + segment.headerLength }

    /// Whether the checksum of the TCP segment is right (RFC 9293 §3.1).
    ///
    /// Of a packet that is not complete, only who delivered it can have known.
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

/// Where the parts of a checked packet lie in its bytes.
public struct PacketLayout: Equatable, Sendable {
    /// The family of the IP header.
    public let family: IPFamily
    /// The offset of the TCP header, in bytes.
    public let transportOffset: Int
    /// The length of the packet as its IP header gives it, in bytes.
    public let totalLength: Int

    @usableFromInline
    init(family: IPFamily, transportOffset: Int, totalLength: Int) {
        self.family = family
        self.transportOffset = transportOffset
        self.totalLength = totalLength
    }
}
