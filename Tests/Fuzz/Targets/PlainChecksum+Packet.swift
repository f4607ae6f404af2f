// SPDX-License-Identifier: GPL-2.0-or-later
internal import TestSupport
internal import Wire

extension PlainChecksum {
    /// The sum over the pseudo-header and the segment of a complete packet (RFC 9293 §3.1): 0xffff if it is right.
    static func ofSegment(_ bytes: [UInt8], _ packet: ParsedPacket) -> UInt16 {
        let segment = Array(bytes[packet.transportOffset..<packet.totalLength])
        // From what was parsed, because in IPv6 an IPv4-mapped address is summed as four bytes: the others do not count
        // as 0, but as 0xffff, which in one's complement is 0.
        let addresses = [packet.source, packet.destination].flatMap { $0.high.networkBytes + $0.low.networkBytes }
        return sum(addresses + UInt32(segment.count).networkBytes + [0, 0, 0, 6] + segment)
    }

    /// Whether the sum over a complete packet is right.
    static func holdsForSegment(_ bytes: [UInt8], _ packet: ParsedPacket) -> Bool {
        packet.isComplete && ofSegment(bytes, packet) == 0xffff
    }

    /// Puts right checksums into a complete packet.
    static func correct(_ bytes: inout [UInt8], _ packet: ParsedPacket) {
        if packet.family == .ipv4 {
            let length = Int(bytes[0] & 15) * 4
            bytes.replaceSubrange(10..<12, with: [0, 0])
            bytes.replaceSubrange(10..<12, with: checksum(Array(bytes[..<length])).networkBytes)
        }
        let field = packet.transportOffset + 16..<packet.transportOffset + 18
        bytes.replaceSubrange(field, with: [0, 0])
        bytes.replaceSubrange(field, with: (~ofSegment(bytes, packet)).networkBytes)
    }
}
