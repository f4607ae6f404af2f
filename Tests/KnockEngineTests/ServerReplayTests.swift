// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: retransmissions and replays of SYNs") struct ServerReplayTests {
    private static let replayed = Verdict(.drop, .synReplayed)
    private static let retransmitted = Verdict(.accept, .synRetransmitted)

    /// Makes a bench whose wall clock shows a second of some minute.
    private static func bench(second: Int64, _ change: (inout ServerEngine.Configuration) -> Void = { _ in })
        -> ServerBench
    {
        let bench = ServerBench(change)
        bench.now.unixSeconds = Int64(bench.now.slot.number) * 60 + second
        return bench
    }

    @Test("A SYN again is a retransmission, before and after the SYN/ACK", arguments: Conversation.kinds)
    func retransmission(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.begin(conversation)
        #expect(bench.begin(conversation) == Self.retransmitted)
        _ = bench.send(conversation.synAck())
        #expect(bench.begin(conversation) == Self.retransmitted)
        #expect(bench.engine.handshakeCount == 1)
        #expect(bench.events() == [Noted(conversation.flow, .synAccepted, conversation.mode)])
        #expect(bench.receive(conversation.thirdACK) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
    }

    @Test("A retransmission in the next slot carries another code", arguments: Conversation.kinds)
    func retransmissionInNextSlot(_ conversation: Conversation) {
        let bench = Self.bench(second: 59)
        bench.begin(conversation)
        bench.wait(seconds: 1)
        #expect(bench.begin(conversation) == Self.retransmitted)
    }

    @Test("A retransmission that asks for another mode does not change it")
    func retransmissionWithOtherMode() {
        let bench = ServerBench()
        let conversation = Conversation(.ipv4, .full)
        bench.begin(conversation)
        #expect(bench.begin(Conversation(.ipv4, .windowed)) == Self.retransmitted)
        #expect(bench.send(conversation.synAck()).bytes == conversation.maskedSYNACK())
    }

    @Test("A retransmission with a wrong code is none")
    func retransmissionWithWrongCode() {
        let bench = ServerBench()
        bench.begin(Conversation())
        let syn = Conversation().fromClient(sequence: Conversation().clientISN, acknowledgment: 99, .syn)
        #expect(bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
    }

    @Test("A handshake lives 180 seconds from its last SYN")
    func retransmissionRenews() {
        let conversation = Conversation()
        let bench = ServerBench()
        bench.begin(conversation)
        bench.wait(seconds: 179)
        #expect(bench.begin(conversation) == Self.retransmitted)
        bench.wait(seconds: 179)
        #expect(bench.send(conversation.synAck()).verdict.reason == .synAckMasked)
        bench.now.uptime += 999
        #expect(bench.send(conversation.synAck()).verdict.reason == .synAckMasked)
        bench.now.uptime += 1
        #expect(bench.send(conversation.synAck()).verdict == Verdict(.drop, .synAckWithoutHandshake))
    }

    @Test("The same SYN from another port is a replay", arguments: Conversation.kinds)
    func otherPort(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.begin(conversation)
        #expect(bench.begin(conversation.with { $0.clientPort += 1 }) == Self.replayed)
        #expect(bench.engine.handshakeCount == 1)
    }

    @Test("The same SYN to another address or port of the server is a replay")
    func otherServer() {
        let bench = ServerBench { $0.targetPorts = [22, 23] }
        bench.begin(Conversation())
        #expect(bench.begin(Conversation().with { $0.server = IPAddress(198, 51, 100, 23) }) == Self.replayed)
        #expect(bench.begin(Conversation().with { $0.serverPort = 23 }) == Self.replayed)
    }

    @Test("The same SYN from another address has a wrong code", arguments: Conversation.kinds)
    func otherAddress(_ conversation: Conversation) {
        let bench = ServerBench()
        bench.begin(conversation)
        let thief = conversation.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 0x80) }
        let syn = thief.fromClient(
            sequence: conversation.clientISN, acknowledgment: conversation.code(bench.now.slot), .syn)
        #expect(bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
    }

    @Test("The code of the other mode is used up with it")
    func otherMode() {
        let bench = ServerBench()
        bench.verify(Conversation(.ipv4, .full))
        #expect(bench.begin(Conversation(.ipv4, .windowed)) == Self.replayed)
    }

    @Test("After its connection is verified a SYN is a replay until its slot is over", arguments: Conversation.kinds)
    func afterVerification(_ conversation: Conversation) {
        let bench = Self.bench(second: 0)
        let syn = conversation.syn(bench.now.slot)
        bench.verify(conversation)
        for _ in 0..<119 {
            #expect(bench.receive(syn) == Self.replayed)
            bench.wait(seconds: 1)
        }
        #expect(bench.receive(syn) == Self.replayed)
        bench.wait(seconds: 1)
        #expect(bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
    }

    @Test("A code of the next slot, used early, is a replay to its end")
    func codeOfNextSlot() {
        let conversation = Conversation()
        let bench = Self.bench(second: 0)
        let syn = conversation.syn(bench.now.slot.next)
        #expect(bench.receive(syn) == Verdict(.accept, .synAccepted))
        _ = bench.send(conversation.synAck())
        _ = bench.receive(conversation.thirdACK)
        bench.wait(seconds: 179)
        #expect(bench.receive(syn) == Self.replayed)
        bench.wait(seconds: 1)
        #expect(bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
    }

    // Regression: the code of a retransmission belongs to a later slot than that of the first SYN, so it stays good for
    // longer, and must be remembered for as long.
    @Test(
        "The retransmission of a verified handshake is a replay as long as its slot counts",
        arguments: Conversation.kinds)
    func retransmissionAfterVerification(_ conversation: Conversation) {
        Self.checkRetransmission(conversation, after: 1, clientAhead: 0)
    }

    @Test(
        "So is a late one, and one of a client whose clock is fast or slow",
        arguments: [1, 3, 63, 127, 179], [-60, 0, 60] as [Int64])
    func lateRetransmission(_ delay: Int64, _ clientAhead: Int64) {
        Self.checkRetransmission(Conversation(), after: delay, clientAhead: clientAhead)
    }

    /// Begins a handshake in the last second of a slot, retransmits its SYN, ends it, and tries that SYN every second.
    private static func checkRetransmission(_ conversation: Conversation, after delay: Int64, clientAhead: Int64) {
        let bench = bench(second: 59)
        func clientSlot() -> TimeSlot { TimeSlot(unixSeconds: bench.now.unixSeconds + clientAhead) }
        _ = bench.receive(conversation.syn(clientSlot()))
        bench.wait(seconds: delay)
        let slot = clientSlot()
        #expect(bench.receive(conversation.syn(slot)) == retransmitted)
        _ = bench.send(conversation.synAck())
        #expect(bench.receive(conversation.thirdACK).reason == .acknowledgmentVerified)
        let fromAnotherPort = conversation.with { $0.clientPort += 1 }
        // Its slot counts until the next one has ended.
        while bench.now.slot.number <= slot.number + 1 {
            #expect(bench.receive(conversation.syn(slot)) == replayed, "\(bench.now)")
            #expect(bench.receive(fromAnotherPort.syn(slot)) == replayed, "\(bench.now)")
            bench.wait(seconds: 1)
        }
        #expect(bench.receive(conversation.syn(slot)) == Verdict(.drop, .synWithWrongCode))
    }

    @Test("A SYN of the same ends with another ISN takes the place of the pending one")
    func newHandshakeOfTheSameFlow() {
        let (first, second) = (Conversation(), Conversation().with { $0.clientISN = 77 })
        let bench = ServerBench()
        bench.answer(first)
        #expect(bench.begin(second) == Verdict(.accept, .synAccepted))
        #expect(bench.engine.handshakeCount == 1)
        #expect(bench.receive(second.thirdACK) == Verdict(.drop, .segmentBeforeSynAck))
        #expect(bench.send(second.synAck()).bytes == second.maskedSYNACK())
        #expect(bench.receive(first.thirdACK) == Verdict(.drop, .segmentOutOfSequence))
        #expect(bench.receive(second.thirdACK) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
        // And the first one cannot come back.
        #expect(bench.begin(first) == Self.replayed)
    }

    @Test("A verified connection's ends may open a new one with another ISN")
    func newHandshakeAfterVerification() {
        let bench = ServerBench()
        bench.verify(Conversation())
        #expect(
            bench.verify(Conversation().with { $0.clientISN = 78 })
                == Verdict(.acceptAsVerified, .acknowledgmentVerified))
    }

    @Test("A clock that is set back brings no used code back")
    func clockSetBack() {
        let conversation = Conversation()
        let bench = ServerBench()
        let (start, syn) = (bench.now.unixSeconds, conversation.syn(bench.now.slot))
        bench.verify(conversation)
        bench.wait(seconds: 179)
        bench.now.unixSeconds = start
        #expect(bench.receive(syn) == Self.replayed)
        bench.now.uptime += 1000
        #expect(bench.receive(syn) == Verdict(.drop, .synOfRetiredSlot))
        // Nor is any other code of that slot good, since which were used is no longer known; of others none was.
        let fresh = conversation.with { $0.clientISN = 5 }
        #expect(bench.receive(fresh.syn(bench.now.slot)) == Verdict(.drop, .synOfRetiredSlot))
        #expect(bench.receive(fresh.syn(bench.now.slot.previous ?? .timeless)) == Verdict(.accept, .synAccepted))
        let fresher = conversation.with { ($0.clientISN, $0.clientPort) = (6, 6) }
        #expect(bench.receive(fresher.syn(bench.now.slot.next)) == Verdict(.accept, .synAccepted))
    }

    @Test(
        "A clock that jumps and comes back keeps nobody out, and brings no used code back",
        arguments: [3600, 86_400, 10 * 365 * 86_400, -3600, -86_400] as [Int64], [20, 200, 2900] as [Int64])
    func clockJumps(_ seconds: Int64, _ stay: Int64) {
        let bench = Self.bench(second: 10)
        var used: [(syn: [UInt8], seconds: Int64, isn: UInt32)] = []
        var isn = UInt32(0)
        func use() {
            isn += 1
            let syn = Conversation().with { $0.clientISN = isn }.syn(bench.now.slot)
            #expect(bench.receive(syn) == Verdict(.accept, .synAccepted), "\(bench.now)")
            used.append((syn, bench.now.unixSeconds, isn))
        }
        func goOn(for duration: Int64) {
            for _ in 0..<duration / 20 {
                use()
                bench.wait(seconds: 20)
            }
        }
        goOn(for: 600)
        bench.now.unixSeconds += seconds
        goOn(for: stay)
        bench.now.unixSeconds -= seconds
        goOn(for: 600)
        let right = bench.now.unixSeconds
        for (syn, seconds, isn) in used {
            for offset in [-60, 0, 60] as [Int64] {
                bench.now.unixSeconds = seconds + offset
                let reason = bench.receive(syn).reason
                #expect(
                    reason == .synOfRetiredSlot || reason == .synReplayed || reason == .synRetransmitted, "\(isn)")
                let other = Conversation().with { ($0.clientISN, $0.clientPort) = (isn, 9) }
                let replay = bench.receive(other.syn(TimeSlot(unixSeconds: seconds))).reason
                #expect(replay == .synOfRetiredSlot || replay == .synReplayed, "\(isn)")
            }
        }
        bench.now.unixSeconds = right
        goOn(for: 60)
    }

    @Test("However often the clock jumps, what is used is refused, and most of what is not is accepted")
    func clockJumpsOften() {
        var random = SeededGenerator(seed: 9)
        let bench = ServerBench { $0.replayCapacity = 1000 }
        let start = bench.now.unixSeconds
        var used: [(syn: [UInt8], seconds: Int64)] = []
        var accepted = 0
        for isn in 0..<400 as Range<UInt32> {
            bench.now.unixSeconds = start + Int64.random(in: -500...500, using: &random) * 600
            bench.now.uptime += UInt64.random(in: 0...60_000, using: &random)
            let syn = Conversation().with { $0.clientISN = isn }.syn(bench.now.slot)
            if bench.receive(syn).reason == .synAccepted {
                accepted += 1
                used.append((syn, bench.now.unixSeconds))
            }
            if let (syn, seconds) = used.randomElement(using: &random) {
                bench.now.unixSeconds = seconds
                #expect(bench.receive(syn).reason != .synAccepted)
            }
        }
        #expect(accepted > 20)
    }

    @Test("An outage of days between connections does not retire what lies between when the clock has jumped")
    func sparseUse() {
        let bench = ServerBench()
        for day in 0..<40 as Range<UInt32> {
            #expect(bench.begin(Conversation().with { $0.clientISN = day }) == Verdict(.accept, .synAccepted))
            bench.wait(seconds: 2 * 86_400)
        }
        bench.now.unixSeconds += 3600
        #expect(bench.begin(Conversation().with { $0.clientISN = 100 }) == Verdict(.accept, .synAccepted))
        bench.wait(seconds: 300)
        bench.now.unixSeconds -= 3600
        for minute in 0..<50 as Range<UInt32> {
            #expect(bench.begin(Conversation().with { $0.clientISN = 200 + minute }) == Verdict(.accept, .synAccepted))
            bench.wait(seconds: 60)
        }
    }

    @Test("A clock that is set back brings no code of a retransmission back")
    func clockSetBackToRetransmission() {
        let conversation = Conversation()
        let bench = Self.bench(second: 59)
        bench.begin(conversation)
        bench.wait(seconds: 1)
        let (start, retransmission) = (bench.now.unixSeconds, conversation.syn(bench.now.slot))
        #expect(bench.receive(retransmission) == Self.retransmitted)
        bench.wait(seconds: 180)
        bench.now.unixSeconds = start
        #expect(bench.receive(retransmission) == Verdict(.drop, .synOfRetiredSlot))
    }

    @Test("As long as the clock goes right, no slot that counts is retired")
    func clockGoesOn() {
        let bench = Self.bench(second: 0)
        for index in UInt32(0)..<600 {
            let conversation = Conversation().with { $0.clientISN = index }
            // Clients whose clocks are a minute slow or fast, and those whose are right.
            let seconds = bench.now.unixSeconds + [-60, 0, 60][Int(index % 3)]
            #expect(bench.receive(conversation.syn(TimeSlot(unixSeconds: seconds))) == Verdict(.accept, .synAccepted))
            bench.wait(seconds: 7)
        }
    }

    @Test("Where there is no room for one more used code, no handshake begins")
    func cacheFull() {
        let bench = ServerBench { $0.replayCapacity = 3 }
        for index in UInt32(0)..<3 {
            #expect(bench.begin(Conversation().with { $0.clientISN = index }).reason == .synAccepted)
        }
        let late = Conversation().with { $0.clientISN = 3 }
        #expect(bench.begin(late) == Verdict(.drop, .replayCacheFull))
        // What was remembered still is, and handshakes under way go on.
        #expect(bench.begin(Conversation().with { ($0.clientISN, $0.clientPort) = (0, 9) }) == Self.replayed)
        #expect(bench.begin(Conversation().with { $0.clientISN = 2 }) == Self.retransmitted)
        bench.wait(seconds: 180)
        #expect(bench.begin(late) == Verdict(.accept, .synAccepted))
    }

    @Test("Without time a code is used up for good")
    func withoutTime() {
        let bench = ServerBench { $0.usesTime = false }
        let conversation = Conversation()
        #expect(bench.receive(conversation.syn(.timeless)).reason == .synAccepted)
        #expect(bench.receive(conversation.syn(.timeless)).reason == .synRetransmitted)
        bench.wait(seconds: 365 * 86_400)
        #expect(bench.receive(conversation.syn(.timeless)) == Self.replayed)
    }

    @Test("Without time the oldest used code gives way")
    func withoutTimeAndRoom() {
        let bench = ServerBench { ($0.usesTime, $0.replayCapacity) = (false, 2) }
        func syn(_ index: UInt32) -> [UInt8] {
            Conversation().with { ($0.clientISN, $0.clientPort) = (index, UInt16(index) + 1000) }.syn(.timeless)
        }
        for index in UInt32(0)..<3 { #expect(bench.receive(syn(index)) == Verdict(.accept, .synAccepted)) }
        bench.wait(seconds: 181)
        #expect(bench.receive(syn(1)) == Self.replayed)
        #expect(bench.receive(syn(2)) == Self.replayed)
        #expect(bench.receive(syn(0)) == Verdict(.accept, .synAccepted))
    }

    @Test("Where there are more handshakes than room, the oldest gives way")
    func handshakeTableFull() {
        let bench = ServerBench { $0.handshakeCapacity = 2 }
        let all = (UInt16(0)..<3).map { index in
            Conversation().with { ($0.clientPort, $0.clientISN) = (100 + index, UInt32(index)) }
        }
        for conversation in all { bench.answer(conversation) }
        #expect(bench.engine.handshakeCount == 2)
        #expect(bench.receive(all[0].thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
        #expect(bench.receive(all[1].thirdACK) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
        #expect(bench.receive(all[2].thirdACK) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
    }
}
