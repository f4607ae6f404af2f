// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Client: packets cut short or with a bit flipped") struct ClientDamageTests {
    private static func bench(_ conversation: Conversation) -> ClientBench {
        ClientBench {
            $0.maskMode = conversation.mode
            $0.servers = [IPPrefix(conversation.server, length: 0)].compactMap(\.self)
        }
    }

    // With other numbers one flip in 65,536 (IPv4) would make another right proof; with these none does.
    @Test("A SYN/ACK proves E, N and the client's address", arguments: Conversation.kinds)
    func flippedSYNACK(_ conversation: Conversation) {
        let synAck = conversation.maskedSYNACK()
        let isIPv4 = conversation.client.family == .ipv4
        let transport = isIPv4 ? 20 : 40
        let address = isIPv4 ? 16..<20 : 24..<40
        let sequenceNumber = transport + 4..<transport + 8
        func isNonce(_ bit: Int) -> Bool { isIPv4 ? (32..<48).contains(bit) : (12..<32).contains(bit) }
        for bit in 0..<synAck.count * 8 {
            let bench = Self.bench(conversation)
            _ = bench.send(conversation.plainSYN)
            let (verdict, bytes) = bench.receive(synAck.flipping(bit: bit))
            if sequenceNumber.contains(bit / 8) || isNonce(bit) || address.contains(bit / 8) {
                #expect(verdict == Verdict(.drop, .proofWrong), "bit \(bit)")
            } else if case .rewrite = verdict.action {
                #expect(verdict.reason == .synAckProven, "bit \(bit)")
                #expect(bytes.span.uint32(at: transport + 4) == conversation.serverISN, "bit \(bit)")
            } else {
                #expect(verdict.action == .accept, "bit \(bit)")
                #expect(bytes == synAck.flipping(bit: bit), "bit \(bit)")
            }
        }
    }

    @Test("A SYN is coded, or passes as it is", arguments: Conversation.kinds)
    func flippedSYN(_ conversation: Conversation) throws {
        let syn = conversation.plainSYN
        for bit in 0..<syn.count * 8 {
            let damaged = syn.flipping(bit: bit)
            let (verdict, bytes) = Self.bench(conversation).send(damaged)
            if case .rewrite(let rewrite) = verdict.action {
                #expect(verdict.reason == .synCoded, "bit \(bit)")
                #expect(try ParsedPacket(bytes).acknowledgmentNumber == rewrite.acknowledgmentNumber, "bit \(bit)")
                // Coding does not repair what was damaged.
                #expect(
                    try ParsedPacket(bytes).hasValidTCPChecksum == ParsedPacket(damaged).hasValidTCPChecksum,
                    "bit \(bit)")
            } else {
                #expect(verdict.action == .accept, "bit \(bit)")
                #expect(bytes == damaged, "bit \(bit)")
            }
        }
    }

    @Test("Cut short anywhere it passes", arguments: Conversation.kinds)
    func truncation(_ conversation: Conversation) {
        let bench = Self.bench(conversation)
        let (syn, synAck) = (conversation.plainSYN, conversation.maskedSYNACK())
        for length in 0..<syn.count {
            #expect(bench.send(Array(syn.prefix(length))).verdict == Verdict(.accept, .truncated), "\(length) bytes")
        }
        for length in 0..<synAck.count {
            #expect(
                bench.receive(Array(synAck.prefix(length))).verdict == Verdict(.accept, .truncated), "\(length) bytes")
        }
    }
}
