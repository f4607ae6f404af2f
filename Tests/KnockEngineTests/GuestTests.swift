// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: guests") struct GuestTests {
    private static let talks = IPFamily.allCases.map { Conversation($0) }

    /// Guests 0..<count, to whom port 22 is open.
    private static func guests(_ count: Int, isRoaming: Bool = false) -> [Guest] {
        (0..<count).map {
            Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22], isRoaming: isRoaming)
        }
    }

    @Test("Each of many is admitted, and known by the key", arguments: [1, 3, 8, 9, 100, 1000])
    func each(_ count: Int) {
        let server = GuestBench(Self.guests(count))
        for number in 0..<count {
            let talk = Self.talks[number % 2].with {
                ($0.clientPort, $0.clientISN) = (UInt16(1000 + number), UInt32(number))
            }
            #expect(server.bench.receive(server.syn(talk, ManyKeys.all[number])) == Verdict(.accept, .synAccepted))
            #expect(server.keys() == [UInt32(number)])
        }
        let stranger = server.syn(Self.talks[0], TestKeys.other)
        #expect(server.bench.receive(stranger) == Verdict(.drop, .synWithWrongCode))
    }

    @Test("Hints are good in the slots that codes are good in", arguments: [-1, 0, 1] as [Int64])
    func slots(_ offset: Int64) {
        let server = GuestBench(Self.guests(20))
        server.bench.now.unixSeconds += 60 * offset
        let syn = server.syn(Self.talks[0], ManyKeys.all[13])
        server.bench.now.unixSeconds -= 60 * offset
        // Once before, so that the index has been made for another slot.
        server.bench.now.unixSeconds += 600
        #expect(server.bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
        server.bench.now.unixSeconds -= 600
        #expect(server.bench.receive(syn) == Verdict(.accept, .synAccepted))
    }

    @Test("Without time, hints are good for ever") func timeless() {
        let server = GuestBench(Self.guests(20)) { $0.usesTime = false }
        let syn = server.syn(Self.talks[0], ManyKeys.all[7], usesTime: false)
        server.bench.wait(seconds: 100_000)
        #expect(server.bench.receive(syn) == Verdict(.accept, .synAccepted))
    }

    @Test(
        "Without a hint a guest is found where all keys are tried",
        arguments: [
            (8, nil, true), (9, nil, false), (9, .max, true), (3, .max, true), (3, 0, false), (1, nil, true),
        ] as [(Int, Int?, Bool)])
    func withoutHint(_ count: Int, _ mostKeysTried: Int?, _ isFound: Bool) {
        let server = GuestBench(Self.guests(count)) { if let mostKeysTried { $0.mostKeysTried = mostKeysTried } }
        let verdict = server.bench.receive(server.syn(Self.talks[0], ManyKeys.all[count - 1], sendsHint: false))
        #expect(verdict.reason == (isFound ? .synAccepted : .synWithWrongCode))
    }

    @Test("A hint that was changed on the way is as none", arguments: [50, 49])
    func changedHint(_ mostKeysTried: Int) throws {
        let server = GuestBench(Self.guests(50)) { $0.mostKeysTried = mostKeysTried }
        var syn = server.syn(Self.talks[0], ManyKeys.all[33])
        let packet = try ParsedPacket(syn)
        #expect(packet.identifier != 0)
        HeaderRewrite(identifier: packet.identifier ^ 0x0101).write(to: &syn)
        #expect(server.bench.receive(syn).reason == (mostKeysTried == 50 ? .synAccepted : .synWithWrongCode))
    }

    @Test("A hint without the code opens nothing") func hintAlone() {
        let server = GuestBench(Self.guests(50))
        var syn = server.syn(Self.talks[0], ManyKeys.all[33])
        HeaderRewrite(acknowledgmentNumber: 0x1234_5678).write(to: &syn)
        #expect(server.bench.receive(syn) == Verdict(.drop, .synWithWrongCode))
    }

    // MARK: What is open to whom

    @Test("Only the guest's ports are open")
    func ports() {
        let guests = [
            Guest(id: KeyID(1), keys: ManyKeys.all[1], ports: [22]),
            Guest(id: KeyID(2), keys: ManyKeys.all[2], ports: [80, 22]),
        ]
        let server = GuestBench(guests)
        let web = Self.talks[0].with { $0.serverPort = 80 }
        #expect(server.bench.receive(server.syn(web, ManyKeys.all[1])) == Verdict(.drop, .guestAtOtherPort))
        #expect(server.keys() == [1])
        #expect(server.bench.receive(server.syn(web, ManyKeys.all[2])) == Verdict(.accept, .synAccepted))
        // What was refused has not been used up.
        let ssh = Self.talks[0].with { $0.clientPort = 1 }
        #expect(server.bench.receive(server.syn(ssh, ManyKeys.all[1])) == Verdict(.accept, .synAccepted))
    }

    @Test("Only from the guest's networks", arguments: IPFamily.allCases)
    func networks(_ family: IPFamily) throws {
        let talk = Conversation(family)
        let network = try #require(IPPrefix(talk.client, length: family == .ipv4 ? 24 : 64))
        let guest = Guest(id: KeyID(1), keys: ManyKeys.all[1], ports: [22], networks: [network])
        let server = GuestBench([guest])
        #expect(server.bench.receive(server.syn(talk, ManyKeys.all[1])) == Verdict(.accept, .synAccepted))
        let other = Conversation(family == .ipv4 ? .ipv6 : .ipv4)
        #expect(server.bench.receive(server.syn(other, ManyKeys.all[1])) == Verdict(.drop, .guestFromOtherNetwork))
        let step: UInt64 = family == .ipv6 ? 1 : 0
        let outside = talk.with { $0.client = IPAddress(high: $0.client.high &+ step, low: $0.client.low ^ 0x1_0000) }
        #expect(server.bench.receive(server.syn(outside, ManyKeys.all[1])) == Verdict(.drop, .guestFromOtherNetwork))
    }

    @Test("Not longer than the guest's time") func expiry() {
        let start = ServerBench().now.unixSeconds
        let guest = Guest(id: KeyID(1), keys: ManyKeys.all[1], ports: [22], expires: start + 10)
        let server = GuestBench([guest])
        server.bench.wait(seconds: 9)
        #expect(server.bench.receive(server.syn(Self.talks[0], ManyKeys.all[1])) == Verdict(.accept, .synAccepted))
        server.bench.wait(seconds: 1)
        let late = Self.talks[1]
        #expect(server.bench.receive(server.syn(late, ManyKeys.all[1])) == Verdict(.drop, .guestExpired))
    }

    @Test("Who has no port only knocks, once with each code") func knock() {
        let server = GuestBench([Guest(id: KeyID(5), keys: ManyKeys.all[1], ports: [])])
        let syn = server.syn(Self.talks[0], ManyKeys.all[1])
        #expect(server.bench.receive(syn) == Verdict(.drop, .knocked))
        #expect(server.keys() == [5])
        #expect(server.bench.receive(syn) == Verdict(.drop, .synReplayed))
        #expect(server.keys() == [])
        #expect(server.bench.engine.handshakeCount == 0)
    }

    // MARK: Others take over

    @Test("The handshakes of guests who stay go on, those of others have ended") func adoption() throws {
        let server = GuestBench(Self.guests(3))
        let bench = server.bench
        let talks = (0..<3).map { number in
            Conversation().with { ($0.clientPort, $0.clientISN) = (UInt16(number + 1), 1) }
        }
        for number in 0..<3 {
            #expect(bench.receive(server.syn(talks[number], ManyKeys.all[number])).reason == .synAccepted)
        }
        let answers = talks.map { bench.send($0.synAck()).bytes }
        // Guest 1 is gone, and the others have changed places.
        bench.engine.adopt(guests: [Self.guests(3)[2], Self.guests(3)[0]], configuration: server.configuration)
        _ = server.keys()
        #expect(bench.receive(talks[0].thirdACK).reason == .acknowledgmentVerified)
        #expect(bench.receive(talks[1].thirdACK).reason == .segmentWithoutHandshake)
        #expect(bench.send(talks[1].synAck()).verdict.reason == .synAckWithoutHandshake)
        #expect(bench.receive(talks[2].thirdACK).reason == .acknowledgmentVerified)
        #expect(server.keys() == [0, 2])
        // Masks are made with the guest's own key, so no two are the same.
        #expect(try Set(answers.map { try ParsedPacket($0).sequenceNumber }).count == 3)
        let again = Conversation().with { $0.clientPort = 9 }
        #expect(bench.receive(server.syn(again, ManyKeys.all[1])).reason == .synWithWrongCode)
    }

    @Test("A code stays used up when guests change") func adoptionKeepsUsedCodes() {
        let server = GuestBench(Self.guests(2))
        let syn = server.syn(Self.talks[0], ManyKeys.all[0])
        #expect(server.bench.receive(syn).reason == .synAccepted)
        server.bench.engine.adopt(guests: Self.guests(1), configuration: server.configuration)
        server.bench.verify(Conversation())
        let other = server.syn(Self.talks[0].with { $0.clientPort = 3 }, ManyKeys.all[0])
        #expect(server.bench.receive(other).reason == .synReplayed)
    }

    @Test("Without guests nobody gets in") func nobody() {
        let server = GuestBench([])
        #expect(server.bench.receive(server.syn(Self.talks[0], ManyKeys.all[0])).reason == .synWithWrongCode)
    }

    // MARK: Appearances

    @Test("A port that looks closed answers what a closed one does, and nothing of a handshake under way")
    func looksClosed() {
        let server = GuestBench(Self.guests(1)) { $0.looksClosed = true }
        let (bench, talk) = (server.bench, Self.talks[0])
        #expect(bench.receive(talk.plainSYN) == Verdict(.reset, .synWithoutCode))
        #expect(bench.receive(server.syn(talk, TestKeys.other)) == Verdict(.reset, .synWithWrongCode))
        #expect(bench.receive(talk.thirdACK) == Verdict(.reset, .segmentWithoutHandshake))
        let syn = server.syn(talk, ManyKeys.all[0])
        #expect(bench.receive(syn) == Verdict(.accept, .synAccepted))
        #expect(bench.receive(talk.thirdACK) == Verdict(.drop, .segmentBeforeSynAck))
        _ = bench.send(talk.synAck())
        #expect(bench.receive(talk.with { $0.clientISN ^= 1 }.thirdACK) == Verdict(.drop, .segmentOutOfSequence))
        #expect(bench.receive(talk.acknowledging(7).damaged()) == Verdict(.drop, .segmentDamaged))
        #expect(bench.receive(talk.acknowledging(7)) == Verdict(.reset, .wrongAcknowledgment))
        #expect(bench.receive(talk.plainSYN) == Verdict(.reset, .synWithoutCode))
        #expect(bench.receive(syn) == Verdict(.reset, .lockedOut))
        #expect(bench.send(talk.synAck()).verdict == Verdict(.drop, .lockedOut))
    }
}

extension HeaderRewrite {
    /// Writes the fields into a packet.
    fileprivate func write(to bytes: inout [UInt8]) {
        guard let layout = try? Packet(validating: bytes.span).layout else { return }
        var span = bytes.mutableSpan
        apply(to: &span, layout: layout)
    }
}
