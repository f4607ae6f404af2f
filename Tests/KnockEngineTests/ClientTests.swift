// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Client") struct ClientTests {
    /// A bench that asks for the mode of a conversation and lists its server.
    private static func bench(_ conversation: Conversation, listed: Bool = true) -> ClientBench {
        ClientBench {
            $0.maskMode = conversation.mode
            let prefix = IPPrefix(conversation.server, length: conversation.server.family == .ipv4 ? 32 : 128)
            $0.servers = listed ? [prefix].compactMap(\.self) : []
        }
    }

    @Test("A SYN gets its code", arguments: Conversation.kinds)
    func syn(_ conversation: Conversation) throws {
        let bench = Self.bench(conversation)
        let (verdict, bytes) = bench.send(conversation.plainSYN)
        let code = conversation.code(bench.now.slot)
        #expect(verdict == Verdict(.rewrite(HeaderRewrite(acknowledgmentNumber: code)), .synCoded))
        #expect(bytes == conversation.syn(bench.now.slot))
        #expect(try ParsedPacket(bytes).hasValidTCPChecksum)
        #expect(bench.events() == [])
    }

    @Test("A retransmission carries the code of its own slot", arguments: Conversation.kinds)
    func retransmission(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        let first = bench.send(conversation.plainSYN).bytes
        #expect(bench.send(conversation.plainSYN).bytes == first)
        bench.wait(seconds: 60)
        let second = bench.send(conversation.plainSYN).bytes
        #expect(second != first)
        #expect(second == conversation.syn(bench.now.slot))
        #expect(bench.receive(conversation.maskedSYNACK()).verdict.reason == .synAckProven)
    }

    @Test("A SYN/ACK with a right proof is unmasked", arguments: Conversation.kinds)
    func synAck(_ conversation: Conversation) throws {
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        let (verdict, bytes) = bench.receive(conversation.maskedSYNACK())
        #expect(verdict == Verdict(.rewrite(HeaderRewrite(sequenceNumber: conversation.serverISN)), .synAckProven))
        let parsed = try ParsedPacket(bytes)
        #expect(parsed.sequenceNumber == conversation.serverISN)
        #expect(parsed.identifier == conversation.masked.nonce)
        #expect(parsed.hasValidTCPChecksum)
        #expect(bench.events() == [Noted(conversation.flow, .synAckProven)])
        // And so is its retransmission.
        #expect(bench.receive(conversation.maskedSYNACK()).bytes == bytes)
    }

    @Test("At the end nothing more is coded, and answers are waited for", arguments: Conversation.kinds)
    func end(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        #expect(!bench.awaitsAnswers)
        _ = bench.send(conversation.plainSYN)
        bench.engine.leave()
        #expect(bench.awaitsAnswers)
        let late = conversation.with { $0.clientPort &+= 1 }
        let (verdict, bytes) = bench.send(late.plainSYN)
        #expect(verdict == Verdict(.accept, .synAtTheEnd))
        #expect(bytes == late.plainSYN)
        #expect(bench.receive(conversation.maskedSYNACK()).verdict.reason == .synAckProven)
        #expect(!bench.awaitsAnswers)
    }

    @Test("A SYN/ACK without proof is not the answer", arguments: Conversation.kinds)
    func foreignAnswer(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        bench.engine.leave()
        #expect(bench.receive(conversation.synAck()).verdict == Verdict(.drop, .proofMissing))
        #expect(bench.awaitsAnswers)
        #expect(bench.receive(conversation.maskedSYNACK()).verdict.reason == .synAckProven)
        #expect(!bench.awaitsAnswers)
    }

    @Test("An answer that never comes is waited for two seconds")
    func noAnswer() {
        let bench = ClientBench()
        _ = bench.send(Conversation().plainSYN)
        bench.engine.leave()
        bench.wait(seconds: 1)
        #expect(bench.awaitsAnswers)
        bench.wait(seconds: 1)
        #expect(!bench.awaitsAnswers)
    }

    @Test("After a restart a SYN/ACK is unmasked all the same", arguments: Conversation.kinds)
    func restart(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        let (verdict, _) = bench.receive(conversation.maskedSYNACK())
        #expect(verdict == Verdict(.rewrite(HeaderRewrite(sequenceNumber: conversation.serverISN)), .synAckProven))
    }

    @Test("TCP Fast Open: what the SYN/ACK acknowledges is not C + 1", arguments: Conversation.kinds)
    func fastOpen(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        let syn = conversation.fromClient(
            sequence: conversation.clientISN, acknowledgment: 0, .syn, payload: [UInt8](repeating: 1, count: 99))
        #expect(bench.send(syn).verdict.reason == .synCoded)
        #expect(bench.receive(conversation.maskedSYNACK(acknowledging: 100)).verdict.reason == .synAckProven)
        #expect(bench.events() == [Noted(conversation.flow, .synAckProven)])
    }

    @Test("An ordinary server's SYN/ACK passes as it is", arguments: Conversation.kinds)
    func ordinaryServer(_ conversation: Conversation) {
        let bench = Self.bench(conversation, listed: false)
        _ = bench.send(conversation.plainSYN)
        for nonce in [UInt32(0), 0x1234, conversation.masked.nonce] {
            let synAck = conversation.fromServer(
                sequence: conversation.serverISN, acknowledgment: conversation.clientISN &+ 1, [.syn, .ack],
                identifier: nonce)
            let (verdict, bytes) = bench.receive(synAck)
            #expect(verdict == Verdict(.accept, .synAckOfOtherServer))
            #expect(bytes == synAck)
        }
        #expect(bench.events() == [])
    }

    @Test("A listed server's SYN/ACK without a proof is dropped", arguments: Conversation.kinds)
    func proofMissing(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        #expect(bench.receive(conversation.synAck()).verdict == Verdict(.drop, .proofMissing))
        #expect(bench.events() == [Noted(conversation.flow, .proofMissing)])
    }

    @Test("A listed server's SYN/ACK with a wrong proof is dropped", arguments: Conversation.kinds)
    func proofWrong(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        let synAck = conversation.fromServer(
            sequence: conversation.masked.serverISN, acknowledgment: conversation.clientISN &+ 1, [.syn, .ack],
            identifier: conversation.masked.nonce ^ 1)
        #expect(bench.receive(synAck).verdict == Verdict(.drop, .proofWrong))
        #expect(bench.events() == [Noted(conversation.flow, .proofWrong)])
        // The right one may still come.
        #expect(bench.receive(conversation.maskedSYNACK()).verdict.reason == .synAckProven)
    }

    @Test("A proof of another handshake or mode is wrong", arguments: Conversation.kinds)
    func proofOfAnotherHandshake(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        for other in [
            conversation.with { $0.clientISN &+= 1 },
            conversation.with { $0.mode = $0.mode == .full ? .windowed : .full },
        ] {
            let synAck = conversation.fromServer(
                sequence: other.masked.serverISN, acknowledgment: conversation.clientISN &+ 1, [.syn, .ack],
                identifier: other.masked.nonce)
            #expect(bench.receive(synAck).verdict == Verdict(.drop, .proofWrong))
        }
    }

    @Test("A prefix lists many servers") func prefix() throws {
        let prefix = try #require(IPPrefix(IPAddress(198, 51, 100, 0), length: 24))
        let bench = ClientBench { $0.servers = [prefix] }
        let inside = Conversation().with { $0.server = IPAddress(198, 51, 100, 255) }
        let outside = Conversation().with { $0.server = IPAddress(198, 51, 101, 0) }
        #expect(bench.receive(inside.synAck()).verdict.reason == .proofMissing)
        #expect(bench.receive(outside.synAck()).verdict.reason == .synAckOfOtherServer)
        #expect(bench.receive(Conversation(.ipv6).synAck()).verdict.reason == .synAckOfOtherServer)
    }

    @Test("A SYN that carries something already passes as it is", arguments: [1, 0x1234_5678, 0xffff_ffff] as [UInt32])
    func alreadyCoded(_ number: UInt32) {
        let bench = ClientBench()
        let syn = Conversation().fromClient(sequence: 1, acknowledgment: number, .syn)
        let (verdict, bytes) = bench.send(syn)
        #expect(verdict == Verdict(.accept, .synAlreadyCoded))
        #expect(bytes == syn)
    }

    @Test("Other ports pass, both ways", arguments: [0, 21, 23, 65535] as [UInt16])
    func otherPort(_ port: UInt16) {
        let bench = ClientBench()
        let conversation = Conversation().with { $0.serverPort = port }
        #expect(bench.send(conversation.plainSYN).verdict == Verdict(.accept, .otherPort))
        #expect(bench.receive(conversation.maskedSYNACK()).verdict == Verdict(.accept, .otherPort))
    }

    @Test("What the kernel cut short passes, both ways") func incompleteCopy() {
        let bench = Self.bench(Conversation())
        var (syn, synAck) = (Conversation().plainSYN, Conversation().maskedSYNACK())
        syn[3] += 1
        synAck[3] += 1
        #expect(bench.send(syn).verdict == Verdict(.accept, .incompleteCopy))
        #expect(bench.receive(synAck).verdict == Verdict(.accept, .incompleteCopy))
    }

    @Test("Bytes that are no TCP segment pass", arguments: WireErrorPacket.all)
    func wireErrors(_ packet: WireErrorPacket) {
        let bench = ClientBench()
        let (verdict, bytes) = bench.send(packet.bytes)
        #expect(verdict == Verdict(.accept, packet.reason))
        #expect(bytes == packet.bytes)
        #expect(bench.engine.counters[packet.reason] == 1)
    }

    @Test("Every combination of flags", arguments: IPFamily.allCases)
    func flags(_ family: IPFamily) {
        let conversation = Conversation(family)
        for byte in UInt8(0)...255 {
            let (bench, flags) = (Self.bench(conversation), TCPFlags(rawValue: byte))
            let deciding = flags.intersection([.syn, .ack, .rst, .fin])
            let out = bench.send(conversation.fromClient(sequence: conversation.clientISN, acknowledgment: 0, flags))
            #expect(out.verdict.reason == (deciding == .syn ? .synCoded : .otherSegment), "flags \(byte)")
            let (nonce, serverISN) = conversation.masked
            let back = bench.receive(
                conversation.fromServer(
                    sequence: serverISN, acknowledgment: conversation.clientISN &+ 1, flags, identifier: nonce))
            #expect(back.verdict.reason == (deciding == [.syn, .ack] ? .synAckProven : .otherSegment), "flags \(byte)")
            #expect(back.verdict.action != .drop)
        }
    }

    @Test("Behind a NAT the code and the proof are over the address that servers see", arguments: Conversation.kinds)
    func nat(_ outside: Conversation) {
        let bench = ClientBench {
            $0.natAddresses = [outside.client.family: outside.client]
            $0.maskMode = outside.mode
        }
        let inside = outside.with {
            $0.client = $0.client.family == .ipv4 ? IPAddress(10, 0, 0, 5) : IPAddress(high: 0xfd00 << 48, low: 5)
        }
        let syn = bench.send(inside.plainSYN).bytes
        let code = outside.code(bench.now.slot)
        #expect(
            syn
                == inside.fromClient(
                    sequence: inside.clientISN, acknowledgment: code, .syn, options: [2, 4, 5, 0xb4, 1, 3, 3, 7]))
        let (nonce, serverISN) = outside.masked
        let synAck = inside.fromServer(
            sequence: serverISN, acknowledgment: inside.clientISN &+ 1, [.syn, .ack], identifier: nonce)
        #expect(bench.receive(synAck).verdict.reason == .synAckProven)
    }

    @Test(
        "The mask to ask for: windowed where there is a NAT address, else full, unless chosen",
        arguments: [
            (nil, false, .full), (nil, true, .windowed), (.full, true, .full), (.windowed, false, .windowed),
            (.full, false, .full), (.windowed, true, .windowed),
        ] as [(MaskMode?, Bool, MaskMode)])
    func maskMode(_ chosen: MaskMode?, _ hasNAT: Bool, _ expected: MaskMode) {
        let conversation = Conversation(.ipv4, expected)
        let bench = ClientBench {
            $0.maskMode = chosen
            $0.natAddresses = hasNAT ? [.ipv4: conversation.client] : [:]
        }
        #expect(bench.send(conversation.plainSYN).bytes == conversation.syn(bench.now.slot))
        // A NAT address of one family says nothing of the other.
        let other = Conversation(.ipv6, chosen ?? .full)
        #expect(bench.send(other.plainSYN).bytes == other.syn(bench.now.slot))
    }

    @Test("Without time the code is that of slot 0") func withoutTime() {
        let bench = ClientBench { $0.usesTime = false }
        #expect(bench.send(Conversation().plainSYN).bytes == Conversation().syn(.timeless))
    }

    @Test("A SYN is forgotten after 180 seconds, or when there is no more room")
    func forgetting() {
        // With Fast Open, C cannot be told from the SYN/ACK; so a client that has forgotten it fails.
        let conversation = Conversation()
        let synAck = conversation.maskedSYNACK(acknowledging: 100)
        let bench = Self.bench(conversation)
        _ = bench.send(conversation.plainSYN)
        bench.now.uptime += 179_999
        #expect(bench.receive(synAck).verdict.reason == .synAckProven)
        bench.now.uptime += 1
        #expect(bench.receive(synAck).verdict.reason == .proofWrong)

        _ = bench.send(conversation.plainSYN)
        for port in UInt16(1)...64 { _ = bench.send(conversation.with { $0.clientPort = port }.plainSYN) }
        #expect(bench.receive(synAck).verdict.reason == .proofWrong)
    }

    @Test("Dropped packets make events only where that is asked for", arguments: [true, false])
    func reportsDrops(_ reports: Bool) throws {
        let conversation = Conversation()
        let prefix = try #require(IPPrefix(conversation.server, length: 32))
        let bench = ClientBench { ($0.servers, $0.reporting) = ([prefix], reports ? .drops : []) }
        _ = bench.receive(conversation.synAck())
        #expect(bench.events() == [Noted(conversation.flow, .proofMissing)])
    }
}
