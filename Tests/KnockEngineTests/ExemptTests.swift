// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import TestSupport
import Testing
import Wire

@Suite("Server: who is exempt") struct ExemptTests {
    private static let prefixes = ["198.18.0.0/15", "fd00::/8"].compactMap { IPPrefix($0) }

    private func bench(_ conversation: Conversation) -> ServerBench {
        ServerBench {
            $0.exempt =
                Self.prefixes
                + [IPPrefix(conversation.client, length: conversation.client.family == .ipv4 ? 32 : 128)]
                .compactMap(\.self)
            $0.wrongCodeLimit = 1
        }
    }

    @Test("All of it passes as it is, with a code and without, and nobody is locked out", arguments: Conversation.kinds)
    func passes(_ conversation: Conversation) {
        let bench = bench(conversation)
        let passes = Verdict(.accept, .exempt)
        #expect(bench.receive(conversation.plainSYN) == passes)
        #expect(bench.receive(conversation.syn(bench.now.slot, keys: TestKeys.other)) == passes)
        #expect(bench.begin(conversation) == passes)
        let synAck = conversation.synAck()
        let sent = bench.send(synAck)
        #expect(sent.verdict == passes && sent.bytes == synAck)
        // What would lock anybody else out.
        #expect(bench.receive(conversation.fromClient(sequence: 1, acknowledgment: 2, .ack)) == passes)
        let isLockedOut = bench.engine.isLockedOut(conversation.client, at: bench.now)
        let handshakes = bench.engine.handshakeCount
        #expect(!isLockedOut && handshakes == 0)
    }

    @Test("A neighbour is judged as ever", arguments: Conversation.kinds) func neighbour(_ conversation: Conversation) {
        let bench = bench(conversation)
        let neighbour = conversation.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 1) }
        #expect(bench.receive(neighbour.plainSYN) == Verdict(.drop, .synWithoutCode))
        #expect(bench.verify(neighbour) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
    }

    @Test("A port that is not protected, and the end of the exemption", arguments: Conversation.kinds)
    func end(_ conversation: Conversation) {
        let bench = bench(conversation)
        #expect(bench.begin(conversation.with { $0.serverPort = 23 }) == Verdict(.drop, .otherPort))
        #expect(bench.receive(conversation.plainSYN) == Verdict(.accept, .exempt))
        bench.engine.adopt(guests: [Guest(TestKeys.published)], configuration: ServerEngine.Configuration.usual)
        #expect(bench.receive(conversation.plainSYN) == Verdict(.drop, .synWithoutCode))
        #expect(
            bench.receive(conversation.fromClient(sequence: 1, acknowledgment: 2, .ack))
                == Verdict(.drop, .segmentWithoutHandshake))
    }
}
