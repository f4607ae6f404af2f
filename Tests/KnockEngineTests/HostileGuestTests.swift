// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

/// What a guest with a key, who can send in anybody's name, cannot do to another.
@Suite("One guest against another") struct HostileGuestTests {
    private static let victim = KeyID(0)
    private static let hostile = KeyID(1)
    private static let verified = Verdict(.acceptAsVerified, .acknowledgmentVerified)

    private static func bench(_ change: (inout ServerEngine.Configuration) -> Void = { _ in }) -> GuestBench {
        GuestBench(
            [0, 1].map { Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22]) }, change)
    }

    /// A guest's handshake up to the SYN/ACK.
    private static func answer(_ guests: GuestBench, _ guest: KeyID, _ talk: Conversation) {
        _ = guests.bench.receive(guests.syn(talk, ManyKeys.all[Int(guest.number)]))
        _ = guests.bench.send(talk.synAck())
    }

    /// A wrong third ACK of the hostile guest in the name of an address.
    private static func lockOut(_ guests: GuestBench, _ talk: Conversation) -> Reason {
        answer(guests, hostile, talk)
        return guests.bench.receive(talk.acknowledging(talk.serverISN)).reason
    }

    @Test(
        "A wrong third ACK locks out whose handshake it was, and nobody else at that address",
        arguments: Conversation.kinds)
    func lockout(_ talk: Conversation) {
        let guests = Self.bench()
        let under = talk.with { $0.clientISN = 77 }
        Self.answer(guests, Self.victim, under)
        let own = talk.with { ($0.clientPort, $0.clientISN) = (7, 7) }
        #expect(Self.lockOut(guests, own) == .wrongAcknowledgment)

        #expect(guests.bench.isLockedOut(talk.client, Self.hostile))
        #expect(!guests.bench.isLockedOut(talk.client, Self.victim))
        #expect(!guests.bench.isLockedOut(talk.client))
        // What the victim has begun goes on, and more begins.
        #expect(guests.bench.receive(under.thirdACK) == Self.verified)
        let next = talk.with { ($0.clientPort, $0.clientISN) = (8, 8) }
        Self.answer(guests, Self.victim, next)
        #expect(guests.bench.receive(next.thirdACK) == Self.verified)
        // The hostile one gets no further from there.
        let more = talk.with { ($0.clientPort, $0.clientISN) = (9, 9) }
        #expect(guests.bench.receive(guests.syn(more, ManyKeys.all[1])).reason == .lockedOut)
    }

    @Test("What the one who is locked out had begun there has ended, and from elsewhere it goes on")
    func handshakesOfTheGuest() {
        let guests = Self.bench()
        let begun = Conversation().with { ($0.clientPort, $0.clientISN) = (1, 1) }
        let elsewhere = begun.with { $0.client = IPAddress(192, 0, 2, 99) }
        Self.answer(guests, Self.hostile, begun)
        Self.answer(guests, Self.hostile, elsewhere)
        #expect(Self.lockOut(guests, Conversation()) == .wrongAcknowledgment)
        #expect(guests.bench.receive(begun.thirdACK).reason == .segmentWithoutHandshake)
        #expect(guests.bench.send(begun.synAck()).verdict.reason == .synAckWithoutHandshake)
        #expect(guests.bench.receive(elsewhere.thirdACK) == Self.verified)
    }

    @Test("Where whole addresses are to be locked out, it is the address") func addresses() {
        let guests = Self.bench { $0.locksOutEverybody = true }
        let under = Conversation().with { $0.clientISN = 77 }
        Self.answer(guests, Self.victim, under)
        #expect(Self.lockOut(guests, Conversation().with { $0.clientPort = 7 }) == .wrongAcknowledgment)
        #expect(guests.bench.isLockedOut(under.client))
        #expect(guests.bench.receive(under.thirdACK).reason == .lockedOut)
    }

    @Test("Unlocking an address lets all guests in again") func unlock() {
        var configuration = ServerEngine.Configuration.usual
        configuration.targetPorts = [22]
        let shared = SharedState(configuration)
        let guests = Self.bench()
        guests.bench.engine = ServerEngine(
            guests: [0, 1].map { Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22]) },
            configuration: configuration, shared: shared)
        #expect(Self.lockOut(guests, Conversation()) == .wrongAcknowledgment)
        let listed = shared.lockedOut(at: guests.bench.now).map(\.subject)
        #expect(listed == [Lockout.Subject(Conversation().client, Self.hostile)])
        #expect(shared.unlock(Conversation().client, at: guests.bench.now))
        #expect(!shared.unlock(Conversation().client, at: guests.bench.now))
        #expect(!guests.bench.isLockedOut(Conversation().client, Self.hostile))
    }

    @Test("A SYN between the ends of another guest's handshake leaves that as it is", arguments: Conversation.kinds)
    func sameEnds(_ talk: Conversation) {
        let guests = Self.bench { $0.reporting = .all }
        let other = talk.with { $0.clientISN = 77 }
        _ = guests.bench.receive(guests.syn(talk, ManyKeys.all[0]))
        #expect(guests.bench.receive(guests.syn(other, ManyKeys.all[1])).reason == .synAccepted)
        // The client's kernel repeats its SYN, and the server's has one of the two handshakes, whichever.
        #expect(guests.bench.receive(guests.syn(talk, ManyKeys.all[0])).reason == .synRetransmitted)
        let answer = guests.bench.send(talk.synAck())
        #expect(answer.verdict.reason == .synAckMasked)
        #expect(guests.keys().last == Self.victim.number)
        #expect(guests.bench.receive(other.acknowledging(5)).reason == .segmentOutOfSequence)
        #expect(guests.bench.receive(talk.thirdACK) == Self.verified)
        #expect(guests.bench.engine.handshakeCount == 2)
    }

    @Test("The same SYN with another guest's code is refused: whose the SYN/ACK is would not be known")
    func sameSYN() {
        let guests = Self.bench()
        let talk = Conversation()
        _ = guests.bench.receive(guests.syn(talk, ManyKeys.all[0]))
        #expect(guests.bench.receive(guests.syn(talk, ManyKeys.all[1])) == Verdict(.drop, .synOfOtherHandshake))
        _ = guests.bench.send(talk.synAck())
        #expect(guests.bench.receive(talk.thirdACK) == Self.verified)
    }

    @Test("A new handshake is judged, though its ends were verified a moment ago for another guest")
    func verifiedBefore() {
        let guests = Self.bench()
        let talk = Conversation()
        Self.answer(guests, Self.hostile, talk)
        #expect(guests.bench.receive(talk.thirdACK) == Self.verified)
        let next = talk.with { $0.clientISN = 77 }
        Self.answer(guests, Self.victim, next)
        #expect(guests.bench.receive(next.fromClient(sequence: 1, acknowledgment: 2, .ack)).action == .drop)
        #expect(guests.bench.receive(next.thirdACK) == Self.verified)
    }

    @Test("Handshakes without end of one guest end no handshake of another") func floodOfHandshakes() {
        let guests = Self.bench { $0.handshakeCapacity = 64 }
        let patient = (1...20 as ClosedRange<UInt16>).map { port in
            Conversation().with { ($0.clientPort, $0.clientISN) = (port, UInt32(port)) }
        }
        for talk in patient { Self.answer(guests, Self.victim, talk) }
        for isn in 1...1000 as ClosedRange<UInt32> {
            let talk = Conversation().with { ($0.clientPort, $0.clientISN) = (UInt16(1000 + isn), isn) }
            #expect(guests.bench.receive(guests.syn(talk, ManyKeys.all[1])).reason == .synAccepted)
        }
        for talk in patient { #expect(guests.bench.receive(talk.thirdACK) == Self.verified) }
    }

    @Test("Lockouts without end of one guest end no lockout of another") func floodOfLockouts() {
        let guests = Self.bench { $0.lockoutCapacity = 8 }
        let talk = Conversation()
        Self.answer(guests, Self.victim, talk)
        _ = guests.bench.receive(talk.acknowledging(1))
        #expect(guests.bench.isLockedOut(talk.client, Self.victim))
        for number in 1...100 as ClosedRange<UInt8> {
            let talk = talk.with { ($0.client, $0.clientISN) = (IPAddress(198, 51, 100, number), UInt32(number)) }
            #expect(Self.lockOut(guests, talk) == .wrongAcknowledgment)
        }
        #expect(guests.bench.isLockedOut(talk.client, Self.victim))
    }

    @Test("Who begins handshakes faster than allowed is slowed down, and nobody else") func rate() {
        let guests = Self.bench { $0.guestSYNRate = 10 }
        func begin(_ guest: Int, _ isn: UInt32) -> Reason {
            let talk = Conversation().with { ($0.clientPort, $0.clientISN) = (UInt16(100 + guest), isn) }
            return guests.bench.receive(guests.syn(talk, ManyKeys.all[guest])).reason
        }
        // After a pause ten seconds' worth at once, then as many as the time brings.
        let first = (1...200 as ClosedRange<UInt32>).map { begin(1, $0) }
        #expect(first.count { $0 == .synAccepted } == 100)
        #expect(first.last == .guestTooFast)
        #expect(begin(0, 1) == .synAccepted)
        guests.bench.now.uptime += 1000
        let second = (201...300 as ClosedRange<UInt32>).map { begin(1, $0) }
        #expect(second.count { $0 == .synAccepted } == 10)
        // A code that was refused is not used up.
        guests.bench.now.uptime += 1000
        #expect(begin(1, 300) == .synAccepted)
    }

    @Test("Replays take nothing from whose SYNs they were") func replaysAreFree() {
        let guests = Self.bench { $0.guestSYNRate = 1 }
        let talk = Conversation()
        Self.answer(guests, Self.victim, talk)
        _ = guests.bench.receive(talk.thirdACK)
        for _ in 0..<100 {
            #expect(guests.bench.receive(guests.syn(talk, ManyKeys.all[0])).reason == .synReplayed)
        }
        #expect(
            guests.bench.receive(guests.syn(talk.with { $0.clientISN = 2 }, ManyKeys.all[0])).reason == .synAccepted)
    }

    @Test("One guest alone may begin as many as come") func oneGuest() {
        let bench = ServerBench { ($0.guestSYNRate, $0.replayCapacity) = (1, 1000) }
        for isn in 1...500 as ClosedRange<UInt32> {
            #expect(bench.begin(Conversation().with { $0.clientISN = isn }).action == .accept)
        }
    }

    @Test("What meets a verified connection is never answered by a RST") func noRSTOnVerified() {
        let bench = ServerBench { $0.looksClosed = true }
        let wrong = Conversation().syn(bench.now.slot, keys: TestKeys.other)
        #expect(bench.receive(wrong) == Verdict(.reset, .synWithWrongCode))
        #expect(bench.receive(wrong, isMarked: true) == Verdict(.drop, .synWithWrongCode))
        #expect(bench.receive(Conversation().plainSYN, isMarked: true) == Verdict(.drop, .synWithoutCode))
    }

    @Test("A verified handshake's SYN/ACK is masked again, a new one's is not let through an old one's entry")
    func onVerified() {
        let bench = ServerBench()
        let talk = Conversation()
        bench.verify(talk)
        #expect(bench.send(talk.synAck(), isMarked: true).verdict.reason == .synAckMasked)
        let next = talk.with { $0.clientISN = 9 }
        #expect(bench.receive(next.syn(bench.now.slot), isMarked: true) == Verdict(.accept, .synAccepted))
        #expect(bench.send(next.synAck(), isMarked: true).verdict == Verdict(.drop, .synAckOnVerified))
        // Once the entry is gone the repeated SYN begins anew.
        #expect(bench.receive(next.syn(bench.now.slot)).reason == .synRetransmitted)
        #expect(bench.send(next.synAck()).verdict.reason == .synAckMasked)
        #expect(bench.receive(next.thirdACK) == Self.verified)
    }
}
