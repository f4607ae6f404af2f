// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct HeaderRewriteTests {
    private static let rewrites = [
        HeaderRewrite(),
        HeaderRewrite(sequenceNumber: 0xfeed_beef),
        HeaderRewrite(acknowledgmentNumber: 0x0102_0304),
        HeaderRewrite(identifier: 0x7_1234),
        HeaderRewrite(sequenceNumber: 0xffff_ffff, identifier: 1),
        HeaderRewrite(sequenceNumber: 0, acknowledgmentNumber: 0xffff_ffff, identifier: 0xffff_ffff),
    ]

    private static func apply(_ rewrite: HeaderRewrite, to packet: [UInt8]) throws -> [UInt8] {
        let layout = try Packet(validating: packet.span).layout
        var bytes = packet
        var span = bytes.mutableSpan
        rewrite.apply(to: &span, layout: layout)
        return bytes
    }

    /// Puts the fields in by hand and sums both checksums again.
    private static func expected(_ rewrite: HeaderRewrite, _ packet: LiteralPacket) -> [UInt8] {
        var bytes = packet.bytes
        let offset = packet.expected.transportOffset
        if let number = rewrite.sequenceNumber {
            bytes.replaceSubrange(offset + 4..<offset + 8, with: number.networkBytes)
        }
        if let number = rewrite.acknowledgmentNumber {
            bytes.replaceSubrange(offset + 8..<offset + 12, with: number.networkBytes)
        }
        let addresses = Array(packet.expected.family == .ipv4 ? bytes[12..<20] : bytes[8..<40])
        bytes.replaceSubrange(offset + 16..<offset + 18, with: [0, 0])
        let pseudoHeader = addresses + UInt32(bytes.count - offset).networkBytes + [0, 0, 0, 6]
        let checksum = PlainChecksum.checksum(pseudoHeader + bytes[offset...])
        bytes.replaceSubrange(offset + 16..<offset + 18, with: checksum.networkBytes)
        guard let nonce = rewrite.identifier else { return bytes }
        switch packet.expected.family {
        case .ipv4:
            bytes.replaceSubrange(4..<6, with: UInt16(truncatingIfNeeded: nonce).networkBytes)
            bytes.replaceSubrange(10..<12, with: [0, 0])
            let checksum = PlainChecksum.checksum(Array(bytes[..<offset]))
            bytes.replaceSubrange(10..<12, with: checksum.networkBytes)
        case .ipv6:
            bytes[1] = bytes[1] & 0xf0 | UInt8(nonce >> 16 & 0x0f)
            bytes.replaceSubrange(2..<4, with: UInt16(truncatingIfNeeded: nonce).networkBytes)
        }
        return bytes
    }

    @Test(
        "The fields and the checksums over them change, and nothing else", arguments: LiteralPacket.all, Self.rewrites)
    func fieldsChange(_ packet: LiteralPacket, _ rewrite: HeaderRewrite) throws {
        let bytes = try Self.apply(rewrite, to: packet.bytes)
        #expect(bytes == Self.expected(rewrite, packet))
        #expect(try ParsedPacket(bytes).hasValidTCPChecksum)
    }

    @Test("A wrong checksum stays as wrong as it was", arguments: LiteralPacket.all, Self.rewrites)
    func wrongChecksumStaysWrong(_ packet: LiteralPacket, _ rewrite: HeaderRewrite) throws {
        let offset = packet.expected.transportOffset + 16
        for error in [UInt16(1), 0x0100, 0x8000, 0x7ffe] {
            var damaged = packet.bytes
            let checksum = Self.add(damaged.span.uint16(at: offset), error)
            damaged.replaceSubrange(offset..<offset + 2, with: checksum.networkBytes)
            let bytes = try Self.apply(rewrite, to: damaged)
            #expect(try !ParsedPacket(bytes).hasValidTCPChecksum)
            let right = Self.expected(rewrite, packet).span.uint16(at: offset)
            // The distance is the same, counted as checksums count: 0xffff is another 0.
            #expect(bytes.span.uint16(at: offset) % 0xffff == Self.add(right, error) % 0xffff)
        }
    }

    private static func add(_ left: UInt16, _ right: UInt16) -> UInt16 {
        UInt16((UInt32(left) + UInt32(right)) % 0xffff)
    }

    @Test("A damaged IPv4 header checksum stays wrong")
    func wrongHeaderChecksumStaysWrong() throws {
        var damaged = LiteralPacket.ipv4SYN.bytes
        damaged[10] ^= 0x40
        let bytes = try Self.apply(HeaderRewrite(identifier: 0xabcd), to: damaged)
        #expect(bytes.span.uint16(at: 4) == 0xabcd)
        #expect(PlainChecksum.sum(Array(bytes.prefix(20))) != 0xffff)
    }

    @Test func randomRewritesAreAsGoodAsSummingAgain() throws {
        var random = SeededGenerator("rewrites against summing again")
        for _ in 0..<2000 {
            guard let packet = LiteralPacket.all.randomElement(using: &random) else { break }
            let rewrite = HeaderRewrite(
                sequenceNumber: .random(in: 0...UInt32.max, using: &random),
                acknowledgmentNumber: .random(in: 0...UInt32.max, using: &random),
                identifier: .random(in: 0...UInt32.max, using: &random))
            #expect(try Self.apply(rewrite, to: packet.bytes) == Self.expected(rewrite, packet))
        }
    }

    @Test("Rewriting back gives the packet that was")
    func thereAndBack() throws {
        for packet in LiteralPacket.all {
            let there = HeaderRewrite(sequenceNumber: 0x5555_aaaa, identifier: 0x1_0001)
            let back = HeaderRewrite(
                sequenceNumber: packet.expected.sequenceNumber, identifier: packet.expected.identifier)
            #expect(try Self.apply(back, to: Self.apply(there, to: packet.bytes)) == packet.bytes)
        }
    }
}
