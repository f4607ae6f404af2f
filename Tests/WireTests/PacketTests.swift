// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct PacketTests {
    @Test("A literal packet is read field by field", arguments: LiteralPacket.all)
    func readsLiteralPacket(_ packet: LiteralPacket) throws {
        #expect(try ParsedPacket(packet.bytes) == packet.expected)
    }

    @Test("Bytes behind the packet change nothing", arguments: LiteralPacket.all)
    func ignoresTrailingBytes(_ packet: LiteralPacket) throws {
        #expect(try ParsedPacket(packet.bytes + [0xff, 0xff, 0xff]) == packet.expected)
    }

    @Test("A packet cut in its headers is refused, one cut in its data is not complete", arguments: LiteralPacket.all)
    func truncation(_ packet: LiteralPacket) throws {
        let headers = packet.expected.transportOffset + packet.expected.headerLength
        for length in 0..<packet.bytes.count {
            let cut = Array(packet.bytes.prefix(length))
            if length < headers {
                #expect(throws: WireError.truncated, "\(length) bytes") { try ParsedPacket(cut) }
            } else {
                var expected = packet.expected
                expected.isComplete = false
                expected.hasValidTCPChecksum = false
                #expect(try ParsedPacket(cut) == expected, "\(length) bytes")
            }
        }
    }

    @Test("A flipped bit under the TCP checksum shows", arguments: LiteralPacket.all)
    func bitFlip(_ packet: LiteralPacket) {
        for bit in 0..<packet.bytes.count * 8 {
            let damaged = packet.bytes.flipping(bit: bit)
            guard let parsed = try? ParsedPacket(damaged) else { continue }
            #expect(parsed.totalLength >= parsed.transportOffset + parsed.headerLength, "bit \(bit)")
            if packet.checksummedBytes.contains(bit / 8) {
                #expect(!parsed.hasValidTCPChecksum, "bit \(bit)")
            }
        }
    }

    @Test("Two flipped bits never trap", arguments: LiteralPacket.all)
    func twoBitFlips(_ packet: LiteralPacket) {
        var random = SeededGenerator("two bit flips of \(packet.name)")
        for _ in 0..<2000 {
            let bits = (0..<2).map { _ in Int.random(in: 0..<packet.bytes.count * 8, using: &random) }
            let damaged = packet.bytes.flipping(bit: bits[0]).flipping(bit: bits[1])
            guard let parsed = try? ParsedPacket(damaged) else { continue }
            #expect(parsed.transportOffset + 20 <= damaged.count, "bits \(bits)")
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator("random bytes")
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = random.bytes(Int.random(in: 0..<120, using: &random))
            // Else hardly any would come past the version and the protocol.
            if bytes.count > 9 {
                bytes[0] = Bool.random(using: &random) ? 0x40 | bytes[0] & 7 : 0x60
                bytes[6] = bytes[0] == 0x60 ? [0, 6, 43, 44, 51, 60][Int(bytes[6]) % 6] : 0
                bytes[9] = 6
            }
            guard let parsed = try? ParsedPacket(bytes) else { continue }
            accepted += 1
            #expect(parsed.transportOffset + parsed.headerLength <= bytes.count)
        }
        #expect(accepted > 0)
    }

    @Test("The version decides", arguments: UInt8(0)...15)
    func version(_ version: UInt8) throws {
        var bytes = LiteralPacket.ipv6SYN.bytes
        bytes[0] = version << 4 | bytes[0] & 0x0f
        switch version {
        case 6: #expect(try ParsedPacket(bytes).family == .ipv6)
        default: #expect(throws: WireError.malformed) { try ParsedPacket(bytes) }
        }
    }

    @Test func nothingIsTruncated() {
        #expect(throws: WireError.truncated) { try ParsedPacket([]) }
    }

    @Test("Of a packet cut short, only who delivered it knows the checksum", arguments: [true, false])
    func checksumVerifiedByTheKernel(_ verified: Bool) throws {
        let cut = Array(LiteralPacket.ipv4WithOptions.bytes.dropLast())
        let ofCut = try Packet(validating: cut.span, checksumVerified: verified).hasValidTCPChecksum
        #expect(ofCut == verified)
        // Of a whole packet one can tell oneself.
        let damaged = LiteralPacket.ipv4WithOptions.bytes.flipping(bit: 300)
        let ofDamaged = try Packet(validating: damaged.span, checksumVerified: verified).hasValidTCPChecksum
        #expect(!ofDamaged)
    }
}
