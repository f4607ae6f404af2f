// SPDX-License-Identifier: GPL-2.0-or-later
import Dispatch
import KnockEngine
import KnockProtocol
import Synchronization
import TestSupport
import Testing
import Wire

@Suite("Server: several engines, each for some of the flows") struct SharedStateTests {
    /// Benches whose engines share what engines of one server share.
    private static func benches(_ count: Int) -> [ServerBench] {
        var configuration = ServerEngine.Configuration.usual
        configuration.handshakeCapacity = 64
        configuration.replayCapacity = 100_000
        configuration.lockoutCapacity = 64
        let shared = SharedState(configuration)
        return (0..<count).map { _ in
            let bench = ServerBench()
            bench.engine = ServerEngine(
                guests: [Guest(TestKeys.published)], configuration: configuration, shared: shared)
            return bench
        }
    }

    @Test("A code that one has accepted is a replay for the others", arguments: Conversation.kinds)
    func replay(_ conversation: Conversation) {
        let benches = Self.benches(3)
        #expect(benches[0].begin(conversation) == Verdict(.accept, .synAccepted))
        for bench in benches[1...] {
            #expect(bench.begin(conversation.with { $0.clientPort += 1 }) == Verdict(.drop, .synReplayed))
        }
    }

    @Test("Who is locked out by one is so for all, with the handshakes under way", arguments: Conversation.kinds)
    func lockout(_ conversation: Conversation) {
        let benches = Self.benches(2)
        let other = conversation.with { ($0.clientPort, $0.clientISN) = (1, 1) }
        benches[1].answer(other)
        for bench in benches { bench.now.uptime += 1 }
        benches[0].lockOut(conversation)
        #expect(benches[1].isLockedOut(conversation.client))
        #expect(benches[1].receive(other.thirdACK) == Verdict(.drop, .lockedOut))
        #expect(benches[1].send(other.synAck()).verdict == Verdict(.drop, .lockedOut))
        benches[1].wait(seconds: 120)
        #expect(benches[1].receive(other.thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        // Its code is used up, and stays so.
        #expect(benches[1].begin(other) == Verdict(.drop, .synReplayed))
    }

    @Test("Engines of their own share nothing") func separate() {
        let benches = [ServerBench(), ServerBench()]
        benches[0].lockOut(Conversation())
        #expect(!benches[1].isLockedOut(Conversation().client))
        #expect(benches[1].begin(Conversation()) == Verdict(.accept, .synAccepted))
    }

    @Test("On threads of their own, each code is accepted once")
    func threads() {
        let keys = TestKeys.published
        var configuration = ServerEngine.Configuration.usual
        configuration.handshakeCapacity = 4096
        let shared = SharedState(configuration)
        let accepted = Atomic(0)
        let refused = Atomic(0)
        let now = ServerBench().now
        DispatchQueue.concurrentPerform(iterations: 4) { [configuration] thread in
            var engine = ServerEngine(guests: [Guest(keys)], configuration: configuration, shared: shared)
            for isn in UInt32(0)..<1000 {
                // The same code from another port on each thread.
                let talk = Conversation().with { ($0.clientISN, $0.clientPort) = (isn, UInt16(1000 + thread)) }
                var bytes = talk.syn(now.slot)
                var span = bytes.mutableSpan
                switch engine.process(&span, .inbound, at: now).reason {
                case .synAccepted: accepted.add(1, ordering: .relaxed)
                case .synReplayed: refused.add(1, ordering: .relaxed)
                default: break
                }
            }
        }
        #expect(accepted.load(ordering: .relaxed) == 1000)
        #expect(refused.load(ordering: .relaxed) == 3000)
    }
}
