// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct InternetChecksumTests {
    private static func checksum(of bytes: [UInt8]) -> InternetChecksum {
        var checksum = InternetChecksum()
        checksum.add(bytes.span)
        return checksum
    }

    @Test(
        "Published and hand-made sums",
        arguments: [
            // RFC 1071 §3.
            ("0001 f203 f4f5 f6f7", 0xddf2),
            // RFC 1071 §3 swaps the bytes of each word: the sum is swapped too (§2 B).
            ("0100 03f2 f5f4 f7f6", 0xf2dd),
            ("", 0x0000),
            ("0000", 0x0000),
            ("ffff", 0xffff),
            ("ffff ffff", 0xffff),
            ("ffff 0001", 0x0001),
            ("8000 8000", 0x0001),
            ("ab", 0xab00),
            ("0001 02", 0x0201),
            ("ffff ff", 0xff00),
            // The header of the example of IPv4 in many a textbook, with its checksum b861 set to 0.
            ("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7", 0x479e),
        ] as [(String, UInt16)])
    func knownSums(_ hex: String, _ sum: UInt16) {
        let checksum = Self.checksum(of: [UInt8](hex: hex))
        #expect(checksum.folded == sum)
        #expect(checksum.value == ~sum)
    }

    @Test func dataWithItsChecksumSumsUpToAllOnes() {
        let header = [UInt8](hex: "4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7")
        #expect(Self.checksum(of: header).folded == 0xffff)
    }

    @Test("The headers of the literal packets", arguments: LiteralPacket.all.filter { $0.expected.family == .ipv4 })
    func ipv4Headers(_ packet: LiteralPacket) {
        #expect(Self.checksum(of: Array(packet.bytes.prefix(packet.expected.transportOffset))).folded == 0xffff)
    }

    @Test func randomBytesSumUpAsTheBookHasIt() {
        var random = SeededGenerator("checksum against the book")
        for _ in 0..<2000 {
            let bytes = random.bytes(Int.random(in: 0..<200, using: &random))
            #expect(Self.checksum(of: bytes).folded == PlainChecksum.sum(bytes))
        }
    }

    @Test func manyWordsDoNotOverflow() {
        let bytes = [UInt8](repeating: 0xff, count: 200_000)
        #expect(Self.checksum(of: bytes).folded == 0xffff)
        #expect(Self.checksum(of: bytes + [0x12, 0x34]).folded == 0x1234)
    }

    @Test func numbersAndAddressesCountAsTheirBytes() {
        var checksum = InternetChecksum()
        checksum.add(UInt16(0x0102))
        checksum.add(UInt32(0x0304_0506))
        #expect(checksum.folded == PlainChecksum.sum([1, 2, 3, 4, 5, 6]))

        checksum = InternetChecksum()
        checksum.add(IPAddress(192, 0, 2, 10))
        #expect(checksum.folded == PlainChecksum.sum([192, 0, 2, 10]))

        checksum = InternetChecksum()
        checksum.add(IPAddress(high: 0x2001_0db8_1234_5678, low: 0x9abc_def0_0fed_cba9))
        #expect(checksum.folded == PlainChecksum.sum([UInt8](hex: "20010db8 12345678 9abcdef0 0fedcba9")))
    }

    @Test("The example of RFC 1624 §4, whose sum comes to zero")
    func rfc1624Example() {
        #expect(InternetChecksum.updated(0xdd2f, from: UInt16(0x5555), to: UInt16(0x3285)) == 0x0000)
    }

    @Test(
        "Corner cases of an update",
        arguments: [
            // Nothing changes.
            (0x0000, 0x1234, 0x1234), (0xfffe, 0x1234, 0x1234), (0x1234, 0x0000, 0x0000), (0x1234, 0xffff, 0xffff),
            // One zero becomes the other: in one's complement they are the same.
            (0x1234, 0x0000, 0xffff), (0x1234, 0xffff, 0x0000), (0x0000, 0xffff, 0x0000), (0x0000, 0x0000, 0xffff),
            // The largest and smallest changes.
            (0x0001, 0x0000, 0x0001), (0x0001, 0x0001, 0x0002), (0xfffe, 0x0001, 0x0000), (0x0000, 0x0001, 0x0000),
            (0x8000, 0x7fff, 0x8000), (0x7fff, 0x8000, 0x7fff),
        ] as [(UInt16, UInt16, UInt16)])
    func updateCorners(_ checksum: UInt16, _ old: UInt16, _ new: UInt16) {
        // Three words: the protocol number, which no TCP packet is without; the one that changes; and one that makes the
        // sum such that the checksum is right before.
        let other = Self.partner(of: old, checksum)
        #expect(PlainChecksum.checksum([0, 6] + old.networkBytes + other.networkBytes) == checksum)
        let updated = InternetChecksum.updated(checksum, from: old, to: new)
        // Right means that the receiver's sum comes to all ones.
        let sum = PlainChecksum.sum([0, 6] + new.networkBytes + other.networkBytes + updated.networkBytes)
        #expect(sum == 0xffff)
    }

    /// The word that together with 6 and `word` has the checksum.
    private static func partner(of word: UInt16, _ checksum: UInt16) -> UInt16 {
        UInt16((Int(~checksum) - Int(word) - 6 + 3 * 0xffff) % 0xffff)
    }

    @Test func updatesAreAsGoodAsSummingAgain() {
        var random = SeededGenerator("RFC 1624 against summing again")
        for _ in 0..<5000 {
            // A word that is never zero stands for the protocol number, which no TCP packet is without.
            var bytes = [0, 6] + random.bytes(2 * Int.random(in: 2..<20, using: &random))
            let checksum = PlainChecksum.checksum(bytes)
            let offset = 2 * Int.random(in: 1..<bytes.count / 2 - 1, using: &random)
            let (old, new) = (bytes.span.uint32(at: offset), UInt32.random(in: 0...UInt32.max, using: &random))
            bytes.replaceSubrange(offset..<offset + 4, with: new.networkBytes)
            #expect(InternetChecksum.updated(checksum, from: old, to: new) == PlainChecksum.checksum(bytes))
            // In two steps of 16 bits it comes to the same.
            let half = InternetChecksum.updated(checksum, from: UInt16(old >> 16), to: UInt16(new >> 16))
            let whole = InternetChecksum.updated(
                half, from: UInt16(truncatingIfNeeded: old), to: UInt16(truncatingIfNeeded: new))
            #expect(whole == PlainChecksum.checksum(bytes))
        }
    }
}
