// SPDX-License-Identifier: GPL-2.0-or-later
import CAllocationCounter
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("A verdict takes nothing from the heap") struct AllocationTests {
    /// Code that is not optimised keeps closures and coroutines on the heap, and a sanitizer has an allocator of its own.
    private static var canBeTold: Bool {
        #if DEBUG
            false
        #else
            allocation_counter_works()
        #endif
    }

    /// A packet of some kind, made before anything is counted.
    private struct Step {
        let kind: String
        var bytes: [UInt8]
        let direction: Direction
        let reason: Reason
        var allocations = 0
        var verdict = Verdict(.drop, .truncated)

        init(_ kind: String, _ bytes: [UInt8], _ direction: Direction, _ reason: Reason) {
            (self.kind, self.bytes, self.direction, self.reason) = (kind, bytes, direction, reason)
        }
    }

    /// All kinds of packets that a server sees, of one client.
    private static func serverSteps(_ talk: Conversation, _ slot: TimeSlot) -> [Step] {
        let neighbour = talk.with { ($0.clientPort, $0.clientISN) = ($0.clientPort ^ 0x8000, $0.clientISN &+ 1) }
        let doomed = talk.with {
            $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 0x80)
            $0.clientISN &+= 2
        }
        return [
            Step("SYN without a code", talk.plainSYN, .inbound, .synWithoutCode),
            Step("SYN with a wrong code", talk.syn(slot, keys: TestKeys.other), .inbound, .synWithWrongCode),
            Step("SYN", talk.syn(slot), .inbound, .synAccepted),
            Step("SYN again", talk.syn(slot), .inbound, .synRetransmitted),
            Step("ACK too early", talk.thirdACK, .inbound, .segmentBeforeSynAck),
            Step("SYN/ACK", talk.synAck(), .outbound, .synAckMasked),
            Step("SYN/ACK again", talk.synAck(), .outbound, .synAckMasked),
            Step("SYN/ACK of another S", talk.with { $0.serverISN ^= 1 }.synAck(), .outbound, .synAckMasked),
            Step("forged ACK", talk.with { $0.clientISN ^= 1 }.thirdACK, .inbound, .segmentOutOfSequence),
            Step("damaged ACK", talk.acknowledging(1).damaged(), .inbound, .segmentDamaged),
            Step("third ACK", talk.thirdACK, .inbound, .acknowledgmentVerified),
            Step("segment behind it", talk.thirdACK, .inbound, .segmentOfVerified),
            Step("replay", talk.syn(slot), .inbound, .synReplayed),
            Step("SYN of another", neighbour.syn(slot), .inbound, .synAccepted),
            Step("its SYN/ACK", neighbour.synAck(), .outbound, .synAckMasked),
            Step("its RST", neighbour.reset(), .inbound, .resetOfHandshake),
            Step("SYN of a third", doomed.syn(slot), .inbound, .synAccepted),
            Step("its SYN/ACK", doomed.synAck(), .outbound, .synAckMasked),
            Step(
                "wrong third ACK", doomed.acknowledging(doomed.masked.serverISN &+ 1), .inbound, .maskedAcknowledgment),
            Step("SYN of one locked out", doomed.syn(slot), .inbound, .lockedOut),
            Step("SYN/ACK of no handshake", neighbour.synAck(), .outbound, .synAckWithoutHandshake),
            Step("ACK of no handshake", neighbour.thirdACK, .inbound, .segmentWithoutHandshake),
        ] + unansweredSteps(neighbour.with { $0.clientPort ^= 1 }, slot)
    }

    /// Handshakes between the same ends that the client aborts, until there are too many.
    private static func unansweredSteps(_ talk: Conversation, _ slot: TimeSlot) -> [Step] {
        let attempts = (UInt32(3)..<20).map { number in talk.with { $0.clientISN &+= number } }
        let aborted = attempts.dropLast().flatMap { attempt in
            [
                Step("SYN to be aborted", attempt.syn(slot), .inbound, .synAccepted),
                Step("its SYN/ACK", attempt.synAck(), .outbound, .synAckMasked),
                Step("its RST", attempt.reset(), .inbound, .resetOfHandshake),
            ]
        }
        return aborted
            + attempts.suffix(1).map {
                Step("SYN of too many", $0.syn(slot), .inbound, .tooManyUnanswered)
            }
    }

    /// Processes all steps; writes down what each took from the heap.
    private static func run(_ steps: inout [Step], _ engine: inout some Engine & ~Copyable, at now: Instant) {
        for index in steps.indices {
            let direction = steps[index].direction
            var span = steps[index].bytes.mutableSpan
            let before = allocation_counter_value()
            let verdict = engine.process(&span, direction, at: now)
            let after = allocation_counter_value()
            steps[index].allocations = Int(after - before)
            steps[index].verdict = verdict
        }
    }

    private static func check(_ steps: [Step]) {
        for step in steps {
            #expect(step.verdict.reason == step.reason, "\(step.kind)")
            #expect(step.allocations == 0, "\(step.kind)")
        }
    }

    @Test(.enabled(if: allocation_counter_works(), "a sanitizer allocates")) func allocationsAreCounted() {
        let before = allocation_counter_value()
        let array = [UInt8](repeating: 1, count: Int.random(in: 1000..<2000))
        #expect(allocation_counter_value() > before)
        #expect(array.count >= 1000)
    }

    @Test(
        "Server", .enabled(if: canBeTold, "only optimised code does not allocate"), arguments: Conversation.kinds,
        [true, false])
    func server(_ kind: Conversation, _ reportsDrops: Bool) {
        let bench = ServerBench(notesChanges: true) {
            ($0.reporting, $0.replayCapacity) = (reportsDrops ? .drops : [], 4096)
        }
        // The first time, the runtime sets up what it needs.
        var warmUp = Self.serverSteps(kind, bench.now.slot)
        Self.run(&warmUp, &bench.engine, at: bench.now)
        for round in UInt32(1)...10 {
            let talk = kind.with {
                $0.client = IPAddress(high: $0.client.high, low: $0.client.low &+ UInt64(round))
                $0.clientISN &+= round &* 1000
            }
            var steps = Self.serverSteps(talk, bench.now.slot)
            Self.run(&steps, &bench.engine, at: bench.now)
            Self.check(steps)
        }
    }

    @Test(
        "Server whose tables are full and whose entries expire",
        .enabled(if: canBeTold, "only optimised code does not allocate"), arguments: Conversation.kinds)
    func fullServer(_ kind: Conversation) {
        let bench = ServerBench { ($0.handshakeCapacity, $0.replayCapacity) = (4, 8) }
        for round in UInt32(0)..<40 {
            var steps = (UInt32(0)..<4).map { index in
                let talk = kind.with { $0.clientISN = round &* 4 &+ index }
                return Step("SYN", talk.syn(bench.now.slot), .inbound, .synAccepted)
            }
            Self.run(&steps, &bench.engine, at: bench.now)
            if round > 0 { Self.check(steps) }
            bench.wait(seconds: 100)
        }
    }

    @Test(
        "Server whose table of used codes grows over its first chunk",
        .enabled(if: canBeTold, "only optimised code does not allocate"))
    func growingServer() {
        let bench = ServerBench(notesChanges: true) { $0.replayCapacity = 1_000_000 }
        var allocations = 0
        for isn in UInt32(0)..<100_000 {
            var bytes = Conversation().with { $0.clientISN = isn }.syn(bench.now.slot)
            var span = bytes.mutableSpan
            let before = allocation_counter_value()
            let verdict = bench.engine.process(&span, .inbound, at: bench.now)
            // The first time, the runtime sets up what it needs.
            if isn > 0 { allocations += allocation_counter_value() - before }
            guard verdict == Verdict(.accept, .synAccepted) else {
                Issue.record("\(isn): \(verdict)")
                return
            }
        }
        #expect(allocations == 0)
    }

    @Test("Client", .enabled(if: canBeTold, "only optimised code does not allocate"), arguments: Conversation.kinds)
    func client(_ kind: Conversation) {
        let bench = ClientBench {
            $0.maskMode = kind.mode
            $0.servers = [IPPrefix(kind.server, length: kind.server.family == .ipv4 ? 32 : 128)].compactMap(\.self)
            $0.reporting = .drops
        }
        func steps(_ talk: Conversation) -> [Step] {
            let stranger = talk.with { $0.server = IPAddress(high: $0.server.high, low: $0.server.low ^ 0x80) }
            let wrong = talk.fromServer(
                sequence: 2, acknowledgment: talk.clientISN &+ 1, [.syn, .ack], identifier: talk.masked.nonce)
            return [
                Step("SYN", talk.plainSYN, .outbound, .synCoded),
                Step("SYN again", talk.plainSYN, .outbound, .synCoded),
                Step("coded SYN", talk.syn(bench.now.slot), .outbound, .synAlreadyCoded),
                Step("ACK", talk.thirdACK, .outbound, .otherSegment),
                Step("SYN/ACK", talk.maskedSYNACK(), .inbound, .synAckProven),
                Step("SYN/ACK without proof", talk.synAck(), .inbound, .proofMissing),
                Step("SYN/ACK with a wrong proof", wrong, .inbound, .proofWrong),
                Step("SYN/ACK of another server", stranger.synAck(), .inbound, .synAckOfOtherServer),
            ]
        }
        var warmUp = steps(kind)
        Self.run(&warmUp, &bench.engine, at: bench.now)
        // More than the table holds, so that the oldest give way.
        for round in UInt16(1)...100 {
            var counted = steps(kind.with { ($0.clientPort, $0.clientISN) = (round, UInt32(round)) })
            Self.run(&counted, &bench.engine, at: bench.now)
            Self.check(counted)
        }
    }

    // Swift Testing looks at each error that is thrown and allocates for that, so this is a process without that hook.
    @Test("Bytes that are no segment", .enabled(if: canBeTold, "only optimised code does not allocate"))
    func noSegment() async {
        await #expect(processExitsWith: .success) {
            allocation_counter_forget_throw_hooks()
            let (server, client) = (ServerBench(), ClientBench())
            for round in 0..<10 {
                for packet in WireErrorPacket.all {
                    var steps = [Step("\(packet.reason)", packet.bytes, .inbound, packet.reason)]
                    Self.run(&steps, &server.engine, at: server.now)
                    if round > 0 { Self.check(steps) }
                    Self.run(&steps, &client.engine, at: client.now)
                    if round > 0 { Self.check(steps) }
                }
            }
        }
    }
}
