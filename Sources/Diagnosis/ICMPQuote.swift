// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// An ICMP error about a TCP segment, with the beginning of the segment as the reporter received it (RFC 792, RFC
/// 4443).
///
/// Linux quotes the whole headers (RFC 1812 §4.3.2.3). Old routers quote 8 bytes of TCP: the ports and the sequence
/// number.
package struct ICMPQuote: Equatable, Sendable {
    /// The kind of error.
    package enum Kind: Equatable, Sendable {
        /// The time to live or hop limit ran out at the reporter.
        case timeExceeded
        /// The reporter cannot or will not deliver the segment; its ICMP code.
        case unreachable(code: UInt8)
    }

    /// The kind of error.
    package let kind: Kind
    /// The host that reports it.
    package let reporter: IPAddress
    /// The source of the quoted segment.
    package let source: IPAddress
    /// The destination of the quoted segment.
    package let destination: IPAddress
    /// The source port of the quoted segment.
    package let sourcePort: UInt16
    /// The destination port of the quoted segment.
    package let destinationPort: UInt16
    /// The sequence number of the quoted segment.
    package let sequenceNumber: UInt32
    /// The acknowledgment field of the quoted segment; nil if the quote ends before it.
    package let acknowledgmentNumber: UInt32?
    /// The identification field or flow label of the quoted segment.
    package let identifier: UInt32

    /// Reads an IP packet; nil if it is not an ICMP error about a TCP segment.
    package init?(_ bytes: Span<UInt8>) {
        guard let (message, reporter, family) = Self.message(in: bytes), message.count > 8 else { return nil }
        self.reporter = reporter
        switch (family, message[0]) {
        case (.ipv4, 11), (.ipv6, 3): kind = .timeExceeded
        case (.ipv4, 3), (.ipv6, 1): kind = .unreachable(code: message[1])
        default: return nil
        }
        let quote = message.extracting(8..<message.count)
        let transport: Span<UInt8>
        do throws(WireError) {
            switch family {
            case .ipv4:
                let header = try IPv4Header(validating: quote)
                guard header.transportProtocol == TCPSegment.protocolNumber, !header.isFragment else { return nil }
                (source, destination) = (header.source, header.destination)
                identifier = UInt32(header.identification)
                transport = quote.extracting(header.headerLength..<quote.count)
            case .ipv6:
                let header = try IPv6Header(validating: quote)
                guard header.transportProtocol == TCPSegment.protocolNumber, !header.isFragment,
                    header.transportOffset <= quote.count
                else { return nil }
                (source, destination) = (header.source, header.destination)
                identifier = header.flowLabel
                transport = quote.extracting(header.transportOffset..<quote.count)
            }
        } catch {
            return nil
        }
        guard transport.count >= 8 else { return nil }
        sourcePort = transport.uint16(at: 0)
        destinationPort = transport.uint16(at: 2)
        sequenceNumber = transport.uint32(at: 4)
        acknowledgmentNumber = transport.count >= 12 ? transport.uint32(at: 8) : nil
    }

    /// Finds the ICMP message in a packet; nil if it is not ICMP.
    @_lifetime(copy bytes)
    private static func message(
        in bytes: Span<UInt8>
    ) -> (message: Span<UInt8>, reporter: IPAddress, family: IPFamily)? {
        guard bytes.count > 0 else { return nil }
        do throws(WireError) {
            if bytes[0] >> 4 == 4 {
                let header = try IPv4Header(validating: bytes)
                guard header.transportProtocol == 1, !header.isFragment else { return nil }
                return (bytes.extracting(header.headerLength..<bytes.count), header.source, .ipv4)
            }
            let header = try IPv6Header(validating: bytes)
            guard header.transportProtocol == 58, !header.isFragment, header.transportOffset <= bytes.count
            else { return nil }
            return (bytes.extracting(header.transportOffset..<bytes.count), header.source, .ipv6)
        } catch {
            return nil
        }
    }
}
