// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct IPv4HeaderTests {
    private static let syn = LiteralPacket.ipv4SYN.bytes

    @Test("A header shorter than five words is malformed", arguments: UInt8(0)...4)
    func headerLengthTooSmall(_ words: UInt8) {
        var bytes = Self.syn
        bytes[0] = 0x40 | words
        #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
    }

    @Test("A header longer than the bytes is truncated", arguments: UInt8(6)...15)
    func headerLengthTooLarge(_ words: UInt8) {
        var bytes = Array(Self.syn.prefix(23))
        bytes[0] = 0x40 | words
        #expect(throws: WireError.truncated) { try ParsedPacket(bytes) }
    }

    @Test("A header longer than the packet is malformed", arguments: [0, 19, 20, 23])
    func totalLengthInsideHeader(_ length: UInt16) {
        var bytes = LiteralPacket.ipv4WithOptions.bytes
        bytes.replaceSubrange(2..<4, with: length.networkBytes)
        #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
    }

    @Test("A packet that ends in its TCP header is truncated, however many bytes follow", arguments: UInt16(20)..<60)
    func totalLengthInsideSegment(_ length: UInt16) {
        var bytes = Self.syn
        bytes.replaceSubrange(2..<4, with: length.networkBytes)
        #expect(throws: WireError.truncated) { try ParsedPacket(bytes) }
    }

    @Test("A packet longer than its bytes is not complete", arguments: [61, 1500, 65535])
    func totalLengthBeyondBytes(_ length: UInt16) throws {
        var bytes = Self.syn
        bytes.replaceSubrange(2..<4, with: length.networkBytes)
        let parsed = try ParsedPacket(bytes)
        #expect(!parsed.isComplete)
        #expect(!parsed.hasValidTCPChecksum)
        #expect(parsed.totalLength == Int(length))
    }

    @Test("A fragment is refused", arguments: [0x2000, 0x0001, 0x1fff, 0x2001, 0x6000, 0xa000, 0x0800])
    func fragment(_ field: UInt16) {
        var bytes = Self.syn
        bytes.replaceSubrange(6..<8, with: field.networkBytes)
        #expect(throws: WireError.fragment) { try ParsedPacket(bytes) }
    }

    @Test("Flags that make no fragment", arguments: [0x0000, 0x4000, 0x8000, 0xc000])
    func noFragment(_ field: UInt16) throws {
        var bytes = Self.syn
        bytes.replaceSubrange(6..<8, with: field.networkBytes)
        #expect(try ParsedPacket(bytes).sequenceNumber == 0x9f3b_2c01)
    }

    @Test("Other protocols are not TCP", arguments: [0, 1, 2, 4, 17, 41, 47, 50, 132, 255])
    func notTCP(_ number: UInt8) {
        var bytes = Self.syn
        bytes[9] = number
        #expect(throws: WireError.notTCP) { try ParsedPacket(bytes) }
    }

    @Test func fragmentOfAnotherProtocolIsAFragment() {
        var bytes = Self.syn
        bytes[6] = 0x20
        bytes[9] = 17
        #expect(throws: WireError.fragment) { try ParsedPacket(bytes) }
    }

    @Test("The header's own fields")
    func fields() throws {
        let bytes = LiteralPacket.ipv4WithOptions.bytes
        let header = try IPv4Header(validating: bytes.span)
        let (length, total) = (header.headerLength, header.totalLength)
        let (identification, isFragment) = (header.identification, header.isFragment)
        let (number, checksum) = (header.transportProtocol, header.checksum)
        let (source, destination) = (header.source, header.destination)
        #expect(length == 32)
        #expect(total == 56)
        #expect(identification == 1)
        #expect(!isFragment)
        #expect(number == 6)
        #expect(checksum == 0xb2ab)
        #expect(source == IPAddress(203, 0, 113, 5))
        #expect(destination == IPAddress(198, 51, 100, 22))
    }
}
