// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct TCPSegmentTests {
    @Test("A data offset inside the header is malformed", arguments: UInt8(0)...4)
    func dataOffsetTooSmall(_ words: UInt8) {
        var bytes = LiteralPacket.ipv4SYN.bytes
        bytes[32] = words << 4
        #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
    }

    @Test("A data offset inside the segment is its header's length", arguments: UInt8(5)...10)
    func dataOffset(_ words: UInt8) throws {
        var bytes = LiteralPacket.ipv4SYN.bytes
        bytes[32] = words << 4
        #expect(try ParsedPacket(bytes).headerLength == Int(words) * 4)
    }

    @Test("A data offset behind the segment is truncated", arguments: UInt8(11)...15)
    func dataOffsetTooLarge(_ words: UInt8) {
        var bytes = LiteralPacket.ipv4SYN.bytes
        bytes[32] = words << 4
        #expect(throws: WireError.truncated) { try ParsedPacket(bytes + [UInt8](repeating: 0, count: 40)) }
    }

    @Test("What opens a connection, and what answers that", arguments: UInt8(0)...255)
    func flags(_ byte: UInt8) {
        let flags = TCPFlags(rawValue: byte)
        // The bits that decide are FIN 1, SYN 2, RST 4 and ACK 16.
        #expect(flags.isSYN == (byte & 0b10111 == 0b00010))
        #expect(flags.isSYNACK == (byte & 0b10111 == 0b10010))
    }

    @Test func flagBits() {
        let all: [TCPFlags] = [.fin, .syn, .rst, .psh, .ack, .urg, .ece, .cwr]
        #expect(all.map(\.rawValue) == [1, 2, 4, 8, 16, 32, 64, 128])
        #expect(TCPSegment.protocolNumber == 6)
    }
}
