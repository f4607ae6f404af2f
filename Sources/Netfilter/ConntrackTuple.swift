// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
internal import Wire

/// The attributes of one direction of a tracked connection, any of which may be missing
/// (linux/netfilter/nfnetlink_conntrack.h, `enum ctattr_tuple`).
struct ConntrackTuple {
    /// The zone, if it applies to this direction only.
    private(set) var zone: UInt16?
    private var source: IPAddress?
    private var destination: IPAddress?
    private var transport: UInt8?
    private var sourcePort: UInt16?
    private var destinationPort: UInt16?

    /// Parses a nested attribute.
    init(_ attribute: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>) {
        var parts = attribute.nested
        while let part = parts.next(in: message) {
            switch UInt32(part.type) {
            case CTA_TUPLE_IP.rawValue: readAddresses(part, message)
            case CTA_TUPLE_PROTO.rawValue: readPorts(part, message)
            case CTA_TUPLE_ZONE.rawValue: zone = part.uint16(message)
            default: break
            }
        }
    }

    /// Returns both endpoints; nil unless all parts are present, the families are equal and the protocol is TCP.
    ///
    /// - Parameter isReply: Whether this is the direction of the replies, which come from the server.
    /// - Returns: The endpoints.
    func flow(isReply: Bool) -> Flow? {
        guard transport == UInt8(IPPROTO_TCP), let source, let destination, let sourcePort, let destinationPort,
            source.family == destination.family
        else { return nil }
        return isReply
            ? Flow(
                clientAddress: destination, clientPort: destinationPort, serverAddress: source, serverPort: sourcePort)
            : Flow(
                clientAddress: source, clientPort: sourcePort, serverAddress: destination, serverPort: destinationPort)
    }

    private mutating func readAddresses(
        _ addresses: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>
    ) {
        var attributes = addresses.nested
        while let attribute = attributes.next(in: message) {
            switch UInt32(attribute.type) {
            case CTA_IP_V4_SRC.rawValue: source = attribute.uint32(message).map { IPAddress(ipv4: $0) }
            case CTA_IP_V4_DST.rawValue: destination = attribute.uint32(message).map { IPAddress(ipv4: $0) }
            case CTA_IP_V6_SRC.rawValue: source = Self.ipv6(attribute, message)
            case CTA_IP_V6_DST.rawValue: destination = Self.ipv6(attribute, message)
            default: break
            }
        }
    }

    private mutating func readPorts(_ ports: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>) {
        var attributes = ports.nested
        while let attribute = attributes.next(in: message) {
            switch UInt32(attribute.type) {
            case CTA_PROTO_NUM.rawValue: transport = attribute.uint8(message)
            case CTA_PROTO_SRC_PORT.rawValue: sourcePort = attribute.uint16(message)
            case CTA_PROTO_DST_PORT.rawValue: destinationPort = attribute.uint16(message)
            default: break
            }
        }
    }

    private static func ipv6(
        _ attribute: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>
    ) -> IPAddress? {
        guard attribute.value.count >= 16 else { return nil }
        let start = attribute.value.lowerBound
        return IPAddress(high: message.uint64(at: start), low: message.uint64(at: start + 8))
    }
}
