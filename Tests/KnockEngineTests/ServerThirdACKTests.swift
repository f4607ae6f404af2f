// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: the third ACK") struct ServerThirdACKTests {
    private static let verified = Verdict(.acceptAsVerified, .acknowledgmentVerified)
    private static let outOfSequence = Verdict(.drop, .segmentOutOfSequence)

    @Test("Of the true ISN", arguments: Conversation.kinds)
    func right(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.answer(conversation)
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
        #expect(
            bench.events() == [
                Noted(conversation.flow, .synAccepted, conversation.mode),
                Noted(conversation.flow, .acknowledgmentVerified),
            ])
    }

    @Test(
        "Data, FIN and other flags beside ACK do not matter",
        arguments: [
            .ack, [.ack, .psh], [.ack, .fin], [.ack, .urg], [.ack, .ece, .cwr], [.ack, .fin, .psh, .urg],
        ] as [TCPFlags])
    func flagsAndData(_ flags: TCPFlags) {
        let bench = ServerBench()
        let conversation = Conversation()
        bench.answer(conversation)
        let third = conversation.acknowledging(
            conversation.serverISN &+ 1, flags: flags, payload: Array("SSH-2.0\r\n".utf8))
        #expect(bench.receive(third) == Self.verified)
    }

    @Test(
        "Sequence numbers wrap around", arguments: Conversation.kinds,
        [
            (0xffff_ffff, 0xffff_ffff), (0xffff_ffff, 0), (0, 0xffff_ffff), (0xffff_fffe, 0xffff_fffe), (0, 0),
            (1, 0xffff_8000), (1, 0xffff_fff0), (0x7fff_ffff, 0x7fff_ffff),
        ] as [(UInt32, UInt32)])
    func wrapAround(_ kind: Conversation, _ isns: (UInt32, UInt32)) {
        let conversation = kind.with { ($0.clientISN, $0.serverISN) = isns }
        let bench = ServerBench()
        #expect(bench.answer(conversation) == conversation.maskedSYNACK())
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }

    @Test("The windowed mask wraps around")
    func windowedMaskWraps() {
        // Some of the masked ISNs come out below the true ones.
        let wrapped = (UInt32(0)..<32).filter { index in
            let conversation = Conversation(.ipv4, .windowed).with {
                ($0.clientISN, $0.serverISN) = (index, 0xffff_c000)
            }
            let bench = ServerBench()
            bench.answer(conversation)
            #expect(bench.receive(conversation.thirdACK) == Self.verified)
            return conversation.masked.serverISN < 0xffff_c000
        }
        #expect(!wrapped.isEmpty && wrapped.count < 32)
    }

    @Test("Segments that were queued behind it pass for ten seconds", arguments: Conversation.kinds)
    func queuedBehind(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.verify(conversation)
        let passed = Verdict(.acceptAsVerified, .segmentOfVerified)
        for flags in [.ack, [.ack, .psh], [.ack, .fin], .rst, [.rst, .ack]] as [TCPFlags] {
            let segment = conversation.fromClient(sequence: 1, acknowledgment: 2, flags, payload: [1])
            #expect(bench.receive(segment) == passed)
        }
        bench.now.uptime += 9999
        #expect(bench.receive(conversation.thirdACK) == passed)
        bench.now.uptime += 1
        #expect(bench.receive(conversation.thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        #expect(!bench.isLockedOut(conversation.client))
    }

    @Test(
        "Of a wrong ISN: locked out", arguments: Conversation.kinds,
        [
            0, 2, 3, 100, 0x8000_0001, 0xffff_ffff,
        ] as [UInt32])
    func wrong(_ conversation: Conversation, _ offset: UInt32) {
        let bench = ServerBench()
        bench.answer(conversation)
        let third = conversation.acknowledging(conversation.serverISN &+ offset)
        #expect(bench.receive(third) == Verdict(.drop, .wrongAcknowledgment))
        #expect(bench.isLockedOut(conversation.client))
        #expect(bench.send(conversation.synAck()).verdict == Verdict(.drop, .lockedOut))
        #expect(bench.events().last == Noted(conversation.flow, .wrongAcknowledgment))
    }

    @Test("Of the masked ISN: locked out, with a reason of its own", arguments: Conversation.kinds)
    func masked(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.answer(conversation)
        let third = conversation.acknowledging(conversation.masked.serverISN &+ 1)
        #expect(bench.receive(third) == Verdict(.drop, .maskedAcknowledgment))
        #expect(bench.events().last == Noted(conversation.flow, .maskedAcknowledgment))
        #expect(bench.isLockedOut(conversation.client))
    }

    @Test("Damaged on the way: dropped, and nobody locked out", arguments: Conversation.kinds)
    func damaged(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.answer(conversation)
        let third = conversation.acknowledging(conversation.serverISN).damaged()
        #expect(bench.receive(third) == Verdict(.drop, .segmentDamaged))
        // The kernel's copy may be cut short; then the checksum cannot be told, either.
        let cut = conversation.acknowledging(conversation.serverISN, payload: [1, 2, 3]).dropLast()
        #expect(bench.receive(Array(cut)) == Verdict(.drop, .segmentDamaged))
        #expect(!bench.isLockedOut(conversation.client))
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }

    @Test(
        "Cut short by the kernel, which has verified the checksum: as wrong as a whole one",
        arguments: Conversation.kinds)
    func verifiedByTheKernel(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.answer(conversation)
        var cut = Array(conversation.acknowledging(conversation.serverISN, payload: [1, 2, 3]).dropLast())
        var span = cut.mutableSpan
        let verdict = bench.engine.process(&span, .inbound, at: bench.now, PacketFacts(checksumVerified: true))
        #expect(verdict == Verdict(.drop, .wrongAcknowledgment))
    }

    @Test("Each single damaged bit locks nobody out", arguments: Conversation.kinds)
    func eachDamagedBit(_ conversation: Conversation) {
        let third = conversation.thirdACK
        for bit in 0..<third.count * 8 {
            let bench = ServerBench()
            bench.answer(conversation)
            _ = bench.receive(third.flipping(bit: bit))
            #expect(!bench.isLockedOut(conversation.client), "bit \(bit)")
        }
    }

    @Test("Before the SYN/ACK", arguments: Conversation.kinds)
    func beforeSYNACK(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.begin(conversation)
        #expect(bench.receive(conversation.thirdACK) == Verdict(.drop, .segmentBeforeSynAck))
        #expect(bench.receive(conversation.acknowledging(99)) == Verdict(.drop, .segmentBeforeSynAck))
        #expect(bench.send(conversation.synAck()).verdict.reason == .synAckMasked)
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }

    @Test("Of no handshake", arguments: Conversation.kinds)
    func withoutHandshake(_ conversation: Conversation) {
        let bench = ServerBench()
        #expect(bench.receive(conversation.thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        bench.answer(conversation)
        let other = conversation.with { $0.clientPort += 1 }
        #expect(bench.receive(other.acknowledging(99)) == Verdict(.drop, .segmentWithoutHandshake))
        #expect(!bench.isLockedOut(conversation.client))
    }

    @Test(
        "Sequence numbers beside the right one",
        arguments: [0, 2, 3, 0x7fff_ffff, 0x8000_0001, 0xffff_ffff] as [UInt32])
    func besideTheSequence(_ offset: UInt32) {
        let bench = ServerBench()
        let conversation = Conversation()
        bench.answer(conversation)
        for acknowledgment in [conversation.serverISN &+ 1, 99, conversation.masked.serverISN &+ 1] {
            let segment = conversation.fromClient(
                sequence: conversation.clientISN &+ offset, acknowledgment: acknowledgment, .ack)
            #expect(bench.receive(segment) == Self.outOfSequence)
        }
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }

    @Test("100,000 forged ACKs change nothing")
    func forgedACKs() {
        var random = SeededGenerator("forged ACKs")
        let conversation = Conversation(.ipv4, .windowed)
        let bench = ServerBench()
        bench.answer(conversation)
        _ = bench.events()
        var bytes = conversation.acknowledging(0)
        var refused = 0
        for _ in 0..<100_000 {
            let sequence = UInt32.random(in: 0...UInt32.max, using: &random)
            guard sequence != conversation.clientISN &+ 1 else { continue }
            bytes.replaceSubrange(24..<28, with: sequence.networkBytes)
            bytes.replaceSubrange(28..<32, with: UInt32.random(in: 0...UInt32.max, using: &random).networkBytes)
            var span = bytes.mutableSpan
            if bench.engine.process(&span, .inbound, at: bench.now) == Self.outOfSequence { refused += 1 }
        }
        #expect(refused >= 99_990)
        #expect(bench.engine.counters[.segmentOutOfSequence] == UInt64(refused))
        #expect(bench.events() == [])
        #expect(bench.engine.handshakeCount == 1)
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }

    @Test("A RST in sequence ends the handshake", arguments: Conversation.kinds)
    func reset(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.answer(conversation)
        #expect(bench.receive(conversation.reset()) == Verdict(.accept, .resetOfHandshake))
        #expect(bench.events().last == Noted(conversation.flow, .resetOfHandshake))
        #expect(bench.send(conversation.synAck()).verdict == Verdict(.drop, .synAckWithoutHandshake))
        #expect(bench.receive(conversation.thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        #expect(!bench.isLockedOut(conversation.client))
        // Its code stays used.
        #expect(bench.begin(conversation) == Verdict(.drop, .synReplayed))
    }

    @Test("A RST out of sequence changes nothing", arguments: [0, 2, 0xffff_ffff, 0x8000_0000] as [UInt32])
    func resetOutOfSequence(_ offset: UInt32) {
        let bench = ServerBench()
        bench.answer(Conversation())
        #expect(bench.receive(Conversation().reset(offset)) == Self.outOfSequence)
        #expect(bench.receive(Conversation().thirdACK) == Self.verified)
    }

    @Test("A damaged RST changes nothing") func resetDamaged() {
        let bench = ServerBench()
        bench.answer(Conversation())
        #expect(bench.receive(Conversation().reset().damaged()) == Verdict(.drop, .segmentDamaged))
        #expect(bench.receive(Conversation().thirdACK) == Self.verified)
    }

    @Test("A RST before the SYN/ACK is for the kernel, and the handshake stays", arguments: [0, 1, 2] as [UInt32])
    func resetBeforeSYNACK(_ offset: UInt32) {
        let bench = ServerBench()
        bench.begin(Conversation())
        #expect(bench.receive(Conversation().reset(offset)) == Verdict(.accept, .resetBeforeSynAck))
        _ = bench.send(Conversation().synAck())
        #expect(bench.receive(Conversation().thirdACK) == Self.verified)
    }

    @Test("A RST of no handshake") func resetWithoutHandshake() {
        #expect(ServerBench().receive(Conversation().reset()) == Verdict(.drop, .segmentWithoutHandshake))
    }
}
