// SPDX-License-Identifier: GPL-2.0-or-later
internal import TestSupport
internal import Wire

extension PlainChecksum {
    /// The sum over the pseudo-header and the segment of a complete packet (RFC 9293 §3.1): 0xffff if it is right.
    static func ofSegment(_ bytes: [UInt8], _ packet: ParsedPacket) -> UInt16 {
        let length = packet.totalLength - packet.transportOffset
        // In one's complement, 0xffff counts as 0: so the words that make an address an IPv4-mapped one do not matter.
        var sum = UInt64(length) + UInt64(TCPSegment.protocolNumber)
        for address in [packet.source, packet.destination] {
            for half in [address.high, address.low] {
                sum += half >> 48 + (half >> 32 & 0xffff) + (half >> 16 & 0xffff) + (half & 0xffff)
            }
        }
        return self.sum(bytes, packet.transportOffset..<packet.totalLength, beginning: sum)
    }

    /// The sum over an IPv4 header: 0xffff if it is right.
    static func ofHeader(_ bytes: [UInt8]) -> UInt16 { sum(bytes, 0..<Int(bytes[0] & 15) * 4, beginning: 0) }

    private static func sum(_ bytes: [UInt8], _ range: Range<Int>, beginning: UInt64) -> UInt16 {
        var sum = beginning
        for index in range {
            sum += (index - range.lowerBound).isMultiple(of: 2) ? UInt64(bytes[index]) * 256 : UInt64(bytes[index])
        }
        // The remainder, where 0 is written as 0xffff: nothing that is summed here is all zero.
        return sum % 0xffff == 0 ? 0xffff : UInt16(sum % 0xffff)
    }

    /// Whether the sum over a complete packet is right.
    static func holdsForSegment(_ bytes: [UInt8], _ packet: ParsedPacket) -> Bool {
        packet.isComplete && ofSegment(bytes, packet) == 0xffff
    }

    /// Puts right checksums into a complete packet.
    static func correct(_ bytes: inout [UInt8], _ packet: ParsedPacket) {
        if packet.family == .ipv4 {
            bytes.replaceSubrange(10..<12, with: [0, 0])
            bytes.replaceSubrange(10..<12, with: (~ofHeader(bytes)).networkBytes)
        }
        let field = packet.transportOffset + 16..<packet.transportOffset + 18
        bytes.replaceSubrange(field, with: [0, 0])
        bytes.replaceSubrange(field, with: (~ofSegment(bytes, packet)).networkBytes)
    }
}
