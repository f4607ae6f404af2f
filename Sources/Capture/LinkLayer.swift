// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// The link layers of captures (pcap-linktype(7)).
///
/// The raw value is libpcap's DLT number on Linux.
package enum LinkLayer: Int32, CaseIterable, Sendable {
    /// BSD loopback: four bytes of address family in the byte order of the capturing host.
    case null = 0
    /// Ethernet, with or without VLAN tags.
    case ethernet = 1
    /// Raw IP.
    case raw = 12
    /// Linux cooked, version 1: the interface `any`.
    case linuxCooked = 113
    /// OpenBSD loopback: four bytes of address family in network byte order.
    case loop = 108
    /// Raw IPv4.
    case ipv4 = 228
    /// Raw IPv6.
    case ipv6 = 229
    /// Linux cooked, version 2.
    case linuxCooked2 = 276

    /// The EtherTypes of IPv4 and IPv6.
    private static let ipTypes: Set<UInt16> = [0x0800, 0x86dd]
    private static let vlanTags: Set<UInt16> = [0x8100, 0x88a8, 0x9100]
    /// The most VLAN tags that are skipped.
    private static let maximumTags = 4

    /// Finds the offset of the IP header in a frame; nil if the frame carries something else or is too short.
    package func ipOffset(in frame: Span<UInt8>) -> Int? {
        let offset: Int?
        switch self {
        case .raw, .ipv4, .ipv6: offset = 0
        case .null, .loop: offset = 4
        case .ethernet: offset = Self.behindType(at: 12, headerEnd: 14, in: frame)
        case .linuxCooked: offset = Self.behindType(at: 14, headerEnd: 16, in: frame)
        case .linuxCooked2: offset = Self.behindType(at: 0, headerEnd: 20, in: frame)
        }
        guard let offset, offset < frame.count, [4, 6].contains(frame[offset] >> 4) else { return nil }
        return offset
    }

    private static func behindType(at position: Int, headerEnd: Int, in frame: Span<UInt8>) -> Int? {
        var (position, end) = (position, headerEnd)
        for _ in 0...maximumTags {
            guard frame.count >= end, frame.count >= position + 2 else { return nil }
            let type = frame.uint16(at: position)
            if ipTypes.contains(type) { return end }
            guard vlanTags.contains(type) else { return nil }
            // A tag adds two bytes of its own, and two for the type that follows.
            (position, end) = (end + 2, end + 4)
        }
        return nil
    }
}
