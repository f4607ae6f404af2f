// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

/// Somebody who collects masked ISNs of one 4-tuple, and clients whose handshakes fail through no fault of theirs.
@Suite("SYN/ACKs left unanswered") struct UnansweredLimitTests {
    private static let most = 16
    private static let accepted = Verdict(.accept, .synAccepted)
    private static let refused = Verdict(.drop, .tooManyUnanswered)

    /// The handshake with a number, between the ends of a conversation.
    private static func attempt(_ number: Int, _ talk: Conversation = Conversation()) -> Conversation {
        talk.with { ($0.clientISN, $0.serverISN) = (UInt32(number) &* 1000, 5_000_000 &+ UInt32(number)) }
    }

    /// Begins handshakes and aborts each by a RST.
    ///
    /// - Returns: The number of SYN/ACKs that it cost the server.
    @discardableResult
    private static func harvest(_ bench: ServerBench, _ numbers: Range<Int>, _ talk: Conversation = Conversation())
        -> Int
    {
        numbers.count { number in
            let attempt = attempt(number, talk)
            guard bench.begin(attempt) == accepted else { return false }
            #expect(bench.send(attempt.synAck()).verdict.reason == .synAckMasked)
            #expect(bench.receive(attempt.reset()) == Verdict(.accept, .resetOfHandshake))
            return true
        }
    }

    @Test("Sixteen at once, then one every ten seconds", arguments: Conversation.kinds)
    func rate(_ talk: Conversation) {
        let bench = ServerBench()
        #expect(Self.harvest(bench, 0..<100, talk) == Self.most)
        #expect(bench.begin(Self.attempt(100, talk)) == Self.refused)
        for round in 1...12 {
            bench.wait(seconds: 9)
            #expect(bench.begin(Self.attempt(100, talk)) == Self.refused)
            bench.wait(seconds: 1)
            #expect(Self.harvest(bench, round * 1000..<round * 1000 + 3, talk) == 1)
        }
        bench.wait(seconds: 180)
        #expect(Self.harvest(bench, 0..<100, talk.with { $0.clientISN = 7 }) == Self.most)
    }

    @Test("Whoever is refused gets in with the same SYN a little later, and is told of") func sameSYN() {
        let bench = ServerBench()
        Self.harvest(bench, 0..<Self.most)
        _ = bench.events()
        let late = Self.attempt(100)
        #expect(bench.begin(late) == Self.refused)
        #expect(bench.events() == [Noted(late.flow, .tooManyUnanswered, .full)])
        bench.wait(seconds: 10)
        #expect(bench.begin(late) == Self.accepted)
    }

    @Test("Left unanswered counts as much as aborted, and so does a lockout") func otherWays() {
        let bench = ServerBench { $0.lockoutSeconds = 1 }
        for number in 0..<8 { bench.answer(Self.attempt(number)) }
        #expect(bench.lockOut(Self.attempt(8)).reason == .wrongAcknowledgment)
        bench.now.uptime += 1000
        #expect(Self.harvest(bench, 9..<100) == 7)
    }

    @Test("Handshakes that succeed cost nothing, and leave what others cost") func success() {
        let bench = ServerBench { $0.replayCapacity = 4096 }
        for number in 0..<1000 { #expect(bench.verify(Self.attempt(number)).reason == .acknowledgmentVerified) }
        Self.harvest(bench, 1000..<1000 + Self.most - 1)
        for number in 2000..<2100 { #expect(bench.verify(Self.attempt(number)).reason == .acknowledgmentVerified) }
        #expect(Self.harvest(bench, 3000..<3010) == 1)
    }

    @Test("A SYN/ACK that is repeated counts once, and so does one with another ISN for each ISN") func repeated() {
        let bench = ServerBench()
        let talk = Self.attempt(0)
        bench.begin(talk)
        for _ in 0..<100 { bench.send(talk.synAck()) }
        #expect(Self.harvest(bench, 1..<10) == 9)
        let cookies = Self.attempt(20)
        bench.begin(cookies)
        for number in 0..<6 as Range<UInt32> { bench.send(cookies.with { $0.serverISN &+= number }.synAck()) }
        #expect(bench.begin(Self.attempt(30)) == Self.refused)
        // The handshake goes on.
        #expect(bench.begin(cookies) == Verdict(.accept, .synRetransmitted))
        #expect(bench.receive(cookies.with { $0.serverISN &+= 5 }.thirdACK).reason == .acknowledgmentVerified)
    }

    @Test("SYNs that nobody answers count for nothing") func noService() {
        let bench = ServerBench { $0.replayCapacity = 4096 }
        for number in 0..<1000 { #expect(bench.begin(Self.attempt(number)) == Self.accepted) }
    }

    @Test("Other ends, and another guest between the same ends, have counts of their own") func others() {
        let guests = GuestBench([0, 1].map { Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22]) })
        func begin(_ talk: Conversation, _ guest: Int) -> Reason {
            let reason = guests.bench.receive(guests.syn(talk, ManyKeys.all[guest])).reason
            if reason == .synAccepted {
                guests.bench.send(talk.synAck())
                _ = guests.bench.receive(talk.reset())
            }
            return reason
        }
        for number in 0..<Self.most { #expect(begin(Self.attempt(number), 1) == .synAccepted) }
        #expect(begin(Self.attempt(100), 1) == .tooManyUnanswered)
        #expect(begin(Self.attempt(101), 0) == .synAccepted)
        #expect(begin(Self.attempt(102).with { $0.clientPort += 1 }, 1) == .synAccepted)
        // What the other guest did there has changed nothing.
        #expect(begin(Self.attempt(100), 1) == .tooManyUnanswered)
    }
}
