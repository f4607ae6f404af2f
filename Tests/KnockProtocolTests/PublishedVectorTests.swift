// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@testable import KnockProtocol

@Suite struct PublishedVectorTests {
    private static let keys = TestKeys.published

    @Test func fileIsComplete() throws {
        let vectors = try PublishedVectors.read()
        #expect(vectors.cases.count >= 30)
        #expect(PublishedVectors.allHints.count == 12)
        #expect(PublishedVectors.allCases.count == vectors.cases.count)
        #expect(Set(vectors.cases.map(\.family)) == [4, 6])
        #expect(Set(vectors.cases.map(\.mode)) == ["full", "windowed"])
    }

    @Test("The key file is made by the formula that is published with it")
    func keyFile() throws {
        let content = try Repository.read("keys/test-vector.dat")
        let expected = (0..<1024).flatMap { index in
            var block = [UInt8](repeating: 0, count: 64)
            var span = block.mutableSpan
            Sodium.genericHash(of: Array("tcpknock test vector key \(index)".utf8).span, into: &span)
            return block
        }
        #expect(content.count == KeySchedule.materialLength)
        #expect(content == expected)
    }

    @Test func masterAndSubkeys() throws {
        let vectors = try PublishedVectors.read()
        let content = try Repository.read("keys/test-vector.dat")
        var master = [UInt8](repeating: 0, count: 32)
        var span = master.mutableSpan
        Sodium.genericHash(of: content.span, into: &span)
        #expect(master.hex == vectors.master)
        let subkeys = [vectors.k1, vectors.k2, vectors.k3, vectors.k4, vectors.k5]
        for (id, expected) in zip((1 as UInt64)..., subkeys) {
            var subkey = [UInt8](repeating: 0, count: 16)
            var span = subkey.mutableSpan
            Sodium.deriveKey(id: id, context: "tcpknock", master: master.span, into: &span)
            #expect(subkey.hex == expected, "k\(id)")
            // What the schedule computes under each of its keys is what that key gives.
            let purpose = try #require(KeySchedule.Purpose(rawValue: id))
            let seven = Handshake(
                clientAddress: IPAddress(high: 0x0707_0707_0707_0707, low: 0x0707_0707_0707_0707),
                clientISN: 0x0707_0707)
            let message = [UInt8](repeating: 7, count: 25)
            #expect(Self.keys.hash(purpose, seven, 0x0707_0707).finish(7, length: 25) == sipHash(message, key: subkey))
        }
    }

    @Test func fingerprint() throws {
        #expect(Self.keys.fingerprint == (try PublishedVectors.read().fingerprint))
        #expect(TestKeys.other.fingerprint != Self.keys.fingerprint)
    }

    @Test("The hint", arguments: PublishedVectors.allHints)
    func hint(_ vector: PublishedVectors.Hint) throws {
        let slot = TimeSlot(number: try #require(UInt64(vector.T, radix: 16)))
        let hint = KeyHint(keys: Self.keys, slot: slot)
        #expect(hint.number == UInt16(vector.hint, radix: 16))
        #expect(hint.identifier(.ipv4) == UInt32(vector.identification, radix: 16))
        #expect(hint.identifier(.ipv6) == UInt32(vector.flowLabel, radix: 16))
    }

    @Test("The SYN codes", arguments: PublishedVectors.allCases)
    func synCodes(_ vector: PublishedVectors.Case) throws {
        let code = SYNCode(keys: Self.keys, handshake: try vector.handshake, slot: vector.slot)
        #expect(code.full == (try vector.number(vector.codeFull)))
        #expect(code.windowed == (try vector.number(vector.codeWindowed)))
        #expect(code[.full] == code.full)
        #expect(code[.windowed] == code.windowed)
        #expect(vector.slot.number == UInt64(vector.T, radix: 16))
    }

    @Test("The nonce", arguments: PublishedVectors.allCases)
    func nonce(_ vector: PublishedVectors.Case) throws {
        let nonce = ServerProof.nonce(
            keys: Self.keys, handshake: try vector.handshake, serverISN: try vector.number(vector.S),
            mode: try vector.maskMode, family: try vector.ipFamily)
        #expect(nonce == (try vector.number(vector.N)))
    }

    @Test("The mask and the masked ISN", arguments: PublishedVectors.allCases)
    func mask(_ vector: PublishedVectors.Case) throws {
        let mask = ISNMask(
            keys: Self.keys, handshake: try vector.handshake, nonce: try vector.number(vector.N),
            mode: try vector.maskMode)
        let (pad, serverISN) = (try vector.number(vector.P), try vector.number(vector.S))
        #expect(mask.mask(serverISN) == (try vector.number(vector.E)))
        #expect(mask.unmask(try vector.number(vector.E)) == serverISN)
        // P shows where S is 0.
        switch try vector.maskMode {
        case .full: #expect(mask.mask(0) == pad)
        case .windowed: #expect(mask.mask(0) == pad % 32768 + 1)
        }
    }

    @Test("What the client makes of the SYN/ACK", arguments: PublishedVectors.allCases)
    func verifiedISN(_ vector: PublishedVectors.Case) throws {
        let serverISN = ServerProof.verifiedISN(
            keys: Self.keys, handshake: try vector.handshake, maskedISN: try vector.number(vector.E),
            nonce: try vector.number(vector.N), mode: try vector.maskMode, family: try vector.ipFamily)
        #expect(serverISN == (try vector.number(vector.S)))
    }

    @Test("A proof holds for its own mode, family and key only", arguments: PublishedVectors.allCases)
    func proofElsewhere(_ vector: PublishedVectors.Case) throws {
        let (masked, nonce) = (try vector.number(vector.E), try vector.number(vector.N))
        let otherMode: MaskMode = try vector.maskMode == .full ? .windowed : .full
        #expect(
            ServerProof.verifiedISN(
                keys: Self.keys, handshake: try vector.handshake, maskedISN: masked, nonce: nonce, mode: otherMode,
                family: try vector.ipFamily) == nil)
        #expect(
            ServerProof.verifiedISN(
                keys: TestKeys.other, handshake: try vector.handshake, maskedISN: masked, nonce: nonce,
                mode: try vector.maskMode, family: try vector.ipFamily) == nil)
        let nextISN = Handshake(
            clientAddress: try vector.handshake.clientAddress, clientISN: try vector.handshake.clientISN &+ 1)
        #expect(
            ServerProof.verifiedISN(
                keys: Self.keys, handshake: nextISN, maskedISN: masked, nonce: nonce, mode: try vector.maskMode,
                family: try vector.ipFamily) == nil)
    }

    // With other values one flip in 65,536 (IPv4) would give another right proof; with these, none does. See PROTOCOL §5.1.
    @Test("A proof does not hold with any bit of E or N flipped", arguments: PublishedVectors.allCases)
    func flippedBits(_ vector: PublishedVectors.Case) throws {
        let (masked, nonce) = (try vector.number(vector.E), try vector.number(vector.N))
        for bit in UInt32(0)..<32 {
            let flipped = ServerProof.verifiedISN(
                keys: Self.keys, handshake: try vector.handshake, maskedISN: masked ^ 1 << bit, nonce: nonce,
                mode: try vector.maskMode, family: try vector.ipFamily)
            #expect(flipped == nil, "bit \(bit) of E")
        }
        for bit in UInt32(0)..<(vector.family == 4 ? 16 : 20) {
            let flipped = ServerProof.verifiedISN(
                keys: Self.keys, handshake: try vector.handshake, maskedISN: masked, nonce: nonce ^ 1 << bit,
                mode: try vector.maskMode, family: try vector.ipFamily)
            #expect(flipped == nil, "bit \(bit) of N")
        }
    }
}
