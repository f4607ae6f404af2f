// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("The same packets at the same times get the same verdicts") struct DeterminismTests {
    private struct Step {
        let bytes: [UInt8]
        let direction: Direction
        let now: Instant
    }

    /// Packets of a few clients that do right and wrong, some of them damaged.
    private static func trace(_ random: inout SeededGenerator) -> [Step] {
        var now = Instant(unixSeconds: 1_710_000_000, uptime: 1_000_000)
        return beginning(at: now)
            + (0..<2000).map { _ in
                let milliseconds = UInt64.random(in: 0..<2000, using: &random)
                now.uptime += milliseconds
                now.unixSeconds += Int64(milliseconds / 1000)
                let conversation = Conversation(
                    Bool.random(using: &random) ? .ipv4 : .ipv6, Bool.random(using: &random) ? .full : .windowed
                ).with {
                    $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ .random(in: 0..<4, using: &random))
                    $0.clientPort = .random(in: 1..<4, using: &random)
                    $0.clientISN = .random(in: 0..<4, using: &random)
                    $0.serverISN = .random(in: 0..<2, using: &random)
                }
                let packets: [([UInt8], Direction)] = [
                    (conversation.syn(now.slot), .inbound), (conversation.synAck(), .outbound),
                    (conversation.thirdACK, .inbound), (conversation.plainSYN, .outbound),
                    (conversation.maskedSYNACK(), .inbound), (conversation.reset(), .inbound),
                    (conversation.plainSYN, .inbound),
                ]
                var (bytes, direction) = packets[Int.random(in: 0..<packets.count, using: &random)]
                if Int.random(in: 0..<8, using: &random) == 0 {
                    bytes = bytes.flipping(bit: .random(in: 0..<bytes.count * 8, using: &random))
                }
                return Step(bytes: bytes, direction: direction, now: now)
            }
    }

    /// One client that gets in and tries its code again, and one that is locked out: in every trace, whatever comes.
    private static func beginning(at now: Instant) -> [Step] {
        let talk = Conversation().with { $0.clientISN = 100 }
        let doomed = Conversation(.ipv6).with { $0.clientISN = 101 }
        let packets: [([UInt8], Direction)] = [
            (talk.plainSYN, .outbound), (talk.syn(now.slot), .inbound), (talk.synAck(), .outbound),
            (talk.maskedSYNACK(), .inbound), (talk.thirdACK, .inbound), (talk.syn(now.slot), .inbound),
            (doomed.syn(now.slot), .inbound), (doomed.synAck(), .outbound), (doomed.acknowledging(7), .inbound),
            (doomed.syn(now.slot), .inbound),
        ]
        return packets.map { Step(bytes: $0, direction: $1, now: now) }
    }

    private static func process(
        _ bytes: inout [UInt8], _ engine: inout some Engine & ~Copyable, _ step: Step
    ) -> Verdict {
        var span = bytes.mutableSpan
        return engine.process(&span, step.direction, at: step.now)
    }

    @Test func server() {
        var random = SeededGenerator("trace for two servers")
        let trace = Self.trace(&random)
        let benches = (ServerBench { $0.reporting = .drops }, ServerBench { $0.reporting = .drops })
        var reasons: Set<Reason> = []
        for step in trace {
            var (first, second) = (step.bytes, step.bytes)
            let verdict = Self.process(&first, &benches.0.engine, step)
            #expect(verdict == Self.process(&second, &benches.1.engine, step))
            #expect(first == second)
            reasons.insert(verdict.reason)
        }
        #expect(benches.0.events() == benches.1.events())
        #expect(benches.0.engine.counters == benches.1.engine.counters)
        let total = Reason.allCases.map { benches.0.engine.counters[$0] }.reduce(0, +)
        #expect(total == UInt64(trace.count))
        // A trace in which little happens would show little.
        #expect(
            reasons.isSuperset(of: [.synAccepted, .synAckMasked, .acknowledgmentVerified, .lockedOut, .synReplayed]))
    }

    @Test func client() {
        var random = SeededGenerator("trace for two clients")
        let benches = (ClientBench(), ClientBench())
        var reasons: Set<Reason> = []
        for step in Self.trace(&random) {
            var (first, second) = (step.bytes, step.bytes)
            let verdict = Self.process(&first, &benches.0.engine, step)
            #expect(verdict == Self.process(&second, &benches.1.engine, step))
            #expect(first == second)
            reasons.insert(verdict.reason)
        }
        #expect(benches.0.events() == benches.1.events())
        #expect(reasons.isSuperset(of: [.synCoded, .synAckProven]))
    }
}
