// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: the SYN/ACK") struct ServerSYNACKTests {
    private static let verified = Verdict(.acceptAsVerified, .acknowledgmentVerified)

    @Test("It goes out masked, with the proof", arguments: Conversation.kinds)
    func masked(_ conversation: Conversation) throws {
        let bench = ServerBench()
        bench.begin(conversation)
        let (verdict, bytes) = bench.send(conversation.synAck())
        let (nonce, masked) = conversation.masked
        #expect(verdict == Verdict(.rewrite(HeaderRewrite(sequenceNumber: masked, identifier: nonce)), .synAckMasked))
        // The same packet with these fields in it from the start, checksums too.
        #expect(bytes == conversation.maskedSYNACK())
        #expect(try ParsedPacket(bytes).hasValidTCPChecksum)
    }

    @Test("Retransmissions are the same on the wire", arguments: Conversation.kinds)
    func retransmission(_ conversation: Conversation) {
        let bench = ServerBench()
        let first = bench.answer(conversation)
        for _ in 0..<5 {
            bench.wait(seconds: 30)
            let (verdict, bytes) = bench.send(conversation.synAck())
            #expect(verdict.reason == .synAckMasked)
            #expect(bytes == first)
        }
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
        // One that crossed the third ACK.
        #expect(bench.send(conversation.synAck()).bytes == first)
    }

    @Test("Of no handshake", arguments: Conversation.kinds)
    func withoutHandshake(_ conversation: Conversation) {
        let bench = ServerBench()
        let dropped = Verdict(.drop, .synAckWithoutHandshake)
        #expect(bench.send(conversation.synAck()).verdict == dropped)
        bench.begin(conversation)
        #expect(bench.send(conversation.with { $0.clientPort += 1 }.synAck()).verdict == dropped)
        #expect(bench.send(conversation.with { $0.server = $0.client }.synAck()).verdict == dropped)
        #expect(bench.events() == [Noted(conversation.flow, .synAccepted, conversation.mode)])
    }

    @Test("From another port") func otherPort() {
        let bench = ServerBench()
        let conversation = Conversation().with { $0.serverPort = 80 }
        #expect(bench.send(conversation.synAck()).verdict == Verdict(.drop, .otherPort))
    }

    @Test("Cut short by the kernel") func incompleteCopy() {
        let bench = ServerBench()
        bench.begin(Conversation())
        var synAck = Conversation().synAck()
        synAck[3] += 1
        #expect(bench.send(synAck).verdict == Verdict(.drop, .incompleteCopy))
        #expect(bench.receive(Conversation().thirdACK) == Verdict(.drop, .segmentBeforeSynAck))
    }

    @Test("SYN cookies change S: the latest and the one before are right", arguments: Conversation.kinds)
    func changedISN(_ conversation: Conversation) {
        let second = conversation.with { $0.serverISN = 7 }
        for right in [conversation, second] {
            let bench = ServerBench()
            bench.answer(conversation)
            #expect(bench.send(second.synAck()).bytes == second.maskedSYNACK())
            // Retransmitting the new one does not push the old one out.
            #expect(bench.send(second.synAck()).bytes == second.maskedSYNACK())
            #expect(bench.receive(right.thirdACK) == Self.verified)
        }
    }

    @Test("The one before the one before is wrong")
    func changedISNTwice() {
        let isns: [UInt32] = [10, 20, 30]
        for (index, isn) in isns.enumerated() {
            let bench = ServerBench()
            bench.begin(Conversation())
            for isn in isns { _ = bench.send(Conversation().with { $0.serverISN = isn }.synAck()) }
            let verdict = bench.receive(Conversation().acknowledging(isn + 1))
            #expect(verdict == (index == 0 ? Verdict(.drop, .wrongAcknowledgment) : Self.verified))
        }
    }

    @Test(
        "TCP Fast Open: the SYN/ACK acknowledges data, and the third ACK goes on from there",
        arguments: Conversation.kinds)
    func fastOpen(_ conversation: Conversation) {
        let bench = ServerBench { $0.acceptsFastOpen = true }
        let data = [UInt8](repeating: 0x2a, count: 100)
        #expect(bench.receive(conversation.syn(bench.now.slot, payload: data)).reason == .synAccepted)
        let (verdict, bytes) = bench.send(conversation.synAck(acknowledging: 101))
        #expect(verdict.reason == .synAckMasked)
        #expect(bytes == conversation.maskedSYNACK(acknowledging: 101))
        #expect(bench.receive(conversation.thirdACK) == Verdict(.drop, .segmentOutOfSequence))
        let third = conversation.fromClient(
            sequence: conversation.clientISN &+ 101, acknowledgment: conversation.serverISN &+ 1, .ack)
        #expect(bench.receive(third) == Self.verified)
    }

    @Test("The server takes the data of the SYN only the second time: what it acknowledged last counts")
    func fastOpenFallsBack() {
        let bench = ServerBench()
        let conversation = Conversation()
        bench.begin(conversation)
        _ = bench.send(conversation.synAck(acknowledging: 101))
        _ = bench.send(conversation.synAck(acknowledging: 1))
        #expect(bench.receive(conversation.thirdACK) == Self.verified)
    }
}
