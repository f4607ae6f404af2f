// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct IPv6HeaderTests {
    /// An extension header of a type, before a header of another.
    private static func header(next: UInt8, length: UInt8 = 0, rest: [UInt8] = [0, 0, 0, 0, 0, 0]) -> [UInt8] {
        [next, length] + rest
    }

    /// A SYN behind extension headers of which the first has a type.
    private static func syn(_ first: UInt8, _ headers: [UInt8]) -> TestPacket {
        var packet = TestPacket()
        packet.source = IPAddress(high: 0x2001_0db8 << 32, low: 0x10)
        packet.destination = IPAddress(high: 0x2001_0db8 << 32, low: 0x22)
        packet.sequenceNumber = 0xc0ff_ee00
        packet.firstNextHeader = first
        packet.networkOptions = headers
        return packet
    }

    @Test("Each type of extension header is walked over", arguments: [0, 43, 44, 51, 60, 135, 139, 140])
    func oneExtensionHeader(_ type: UInt8) throws {
        let packet = Self.syn(type, Self.header(next: 6))
        let parsed = try ParsedPacket(packet.bytes)
        #expect(parsed.transportOffset == 48)
        #expect(parsed.sequenceNumber == 0xc0ff_ee00)
        #expect(parsed.hasValidTCPChecksum)
    }

    @Test("Lengths count in units of 8 bytes, for authentication of 4", arguments: [0, 51, 60], [0, 1, 2, 9, 255])
    func extensionHeaderLength(_ type: UInt8, _ length: UInt8) throws {
        let more = Int(length) * (type == 51 ? 4 : 8)
        let rest = [UInt8](repeating: 0xff, count: 6 + more)
        let parsed = try ParsedPacket(Self.syn(type, Self.header(next: 6, length: length, rest: rest)).bytes)
        #expect(parsed.transportOffset == 48 + more)
        #expect(parsed.sequenceNumber == 0xc0ff_ee00)
    }

    @Test("The reserved byte of a fragment header is not a length", arguments: [0, 1, 255])
    func fragmentHeaderHasNoLength(_ reserved: UInt8) throws {
        let packet = Self.syn(44, Self.header(next: 6, length: reserved))
        #expect(try ParsedPacket(packet.bytes).transportOffset == 48)
    }

    @Test("A fragment is refused", arguments: [0x0001, 0x0008, 0xfff8, 0xfff9, 0x8000])
    func fragment(_ field: UInt16) {
        let header = Self.header(next: 6, rest: field.networkBytes + [0, 0, 0, 1])
        #expect(throws: WireError.fragment) { try ParsedPacket(Self.syn(44, header).bytes) }
    }

    @Test("Reserved bits make no fragment", arguments: [0x0000, 0x0002, 0x0004, 0x0006])
    func atomicFragment(_ field: UInt16) throws {
        let header = Self.header(next: 6, rest: field.networkBytes + [0, 0, 0, 1])
        #expect(try ParsedPacket(Self.syn(44, header).bytes).hasValidTCPChecksum)
    }

    @Test("A later fragment is refused whatever its bytes look like")
    func laterFragment() {
        // Behind the fragment header of a later fragment stand bytes of anything: here, of an endless chain.
        let headers = Self.header(next: 0, rest: [0x00, 0x08, 0, 0, 0, 1]) + Self.header(next: 0, length: 255)
        #expect(throws: WireError.fragment) { try ParsedPacket(Self.syn(44, headers).bytes) }
    }

    @Test("An IPv4-mapped address is malformed", arguments: [8, 24])
    func mappedAddress(_ offset: Int) {
        var bytes = Self.syn(6, []).bytes
        let address = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 192, 0, 2, 1]
        bytes.replaceSubrange(offset..<offset + 16, with: address)
        #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
        // One bit less, and it is an address like any other.
        bytes[offset + 11] = 0xfe
        #expect(throws: Never.self) { try ParsedPacket(bytes) }
    }

    @Test("A routing header that is not at its end is malformed", arguments: UInt8(1)...8)
    func routingUnderWay(_ segmentsLeft: UInt8) {
        let header = Self.header(next: 6, rest: [0, segmentsLeft, 0, 0, 0, 0])
        #expect(throws: WireError.malformed) { try ParsedPacket(Self.syn(43, header).bytes) }
    }

    @Test("Eight extension headers pass", arguments: 1...8)
    func manyExtensionHeaders(_ count: Int) throws {
        let headers = (1...count).flatMap { Self.header(next: $0 == count ? 6 : 60) }
        #expect(try ParsedPacket(Self.syn(60, headers).bytes).transportOffset == 40 + 8 * count)
    }

    @Test("More are malformed", arguments: [9, 10, 100])
    func tooManyExtensionHeaders(_ count: Int) {
        let headers = (1...count).flatMap { Self.header(next: $0 == count ? 6 : 60) }
        #expect(throws: WireError.malformed) { try ParsedPacket(Self.syn(60, headers).bytes) }
    }

    @Test("A length that lies beyond the bytes is truncated", arguments: [0, 43, 51, 60, 135], [20, 255])
    func lyingLength(_ type: UInt8, _ length: UInt8) {
        let header = Self.header(next: 6, length: length)
        #expect(throws: WireError.truncated) { try ParsedPacket(Self.syn(type, header).bytes) }
    }

    @Test("A chain that ends at the end of the bytes is truncated", arguments: [0, 43, 44, 51, 60])
    func chainWithoutEnd(_ type: UInt8) {
        let bytes = Self.syn(0, Self.header(next: type)).bytes.prefix(48)
        #expect(throws: WireError.truncated) { try ParsedPacket(Array(bytes)) }
    }

    @Test("A payload that ends in the extension headers is malformed", arguments: UInt16(0)..<8)
    func payloadInsideExtensionHeaders(_ length: UInt16) {
        var bytes = Self.syn(60, Self.header(next: 6)).bytes
        bytes.replaceSubrange(4..<6, with: length.networkBytes)
        #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
    }

    @Test("A payload that ends in the TCP header is truncated", arguments: UInt16(8)..<28)
    func payloadInsideSegment(_ length: UInt16) {
        var bytes = Self.syn(60, Self.header(next: 6)).bytes
        bytes.replaceSubrange(4..<6, with: length.networkBytes)
        #expect(throws: WireError.truncated) { try ParsedPacket(bytes) }
    }

    @Test("Other protocols are not TCP, behind extension headers too", arguments: [17, 41, 50, 58, 59, 132, 255])
    func notTCP(_ number: UInt8) {
        #expect(throws: WireError.notTCP) { try ParsedPacket(Self.syn(60, Self.header(next: number)).bytes) }
        var bytes = LiteralPacket.ipv6SYN.bytes
        bytes[6] = number
        #expect(throws: WireError.notTCP) { try ParsedPacket(bytes) }
    }

    @Test("The header's own fields")
    func fields() throws {
        let bytes = LiteralPacket.ipv6ExtensionHeaders.bytes
        let header = try IPv6Header(validating: bytes.span)
        let (offset, number, isFragment) = (header.transportOffset, header.transportProtocol, header.isFragment)
        let (total, label) = (header.totalLength, header.flowLabel)
        let (source, destination) = (header.source, header.destination)
        #expect(offset == 96)
        #expect(number == 6)
        #expect(!isFragment)
        #expect(total == 120)
        #expect(label == 0)
        #expect(source == IPAddress(high: 0x2001_0db8_0001_0000, low: 1))
        #expect(destination == IPAddress(high: 0x2001_0db8_0002_0000, low: 2))
    }

    @Test("The flow label is 20 bits, the traffic class none of them")
    func flowLabel() throws {
        var bytes = LiteralPacket.ipv6SYN.bytes
        bytes.replaceSubrange(0..<4, with: [0x6f, 0xf0, 0x00, 0x00])
        #expect(try ParsedPacket(bytes).identifier == 0)
        bytes.replaceSubrange(0..<4, with: [0x60, 0x0f, 0xff, 0xff])
        #expect(try ParsedPacket(bytes).identifier == 0xf_ffff)
    }
}
