// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

/// One way to each reason, with its exact verdict.
@Suite("Reasons") struct ReasonTests {
    struct Scenario: Sendable, CustomTestStringConvertible {
        let reason: Reason
        let action: @Sendable () -> Verdict.Action
        let verdict: @Sendable () -> Verdict

        var testDescription: String { reason.name }

        init(
            _ reason: Reason, _ action: @autoclosure @escaping @Sendable () -> Verdict.Action,
            _ verdict: @escaping @Sendable () -> Verdict
        ) {
            self.reason = reason
            self.action = action
            self.verdict = verdict
        }

        /// A scenario on the server; the first argument brings it to where it is interesting.
        static func server(
            _ reason: Reason, _ action: @autoclosure @escaping @Sendable () -> Verdict.Action,
            _ verdict: @escaping @Sendable (ServerBench, Conversation) -> Verdict
        ) -> Scenario {
            Scenario(reason, action()) { verdict(ServerBench(), Conversation()) }
        }

        /// A scenario on the client.
        static func client(
            _ reason: Reason, _ action: @autoclosure @escaping @Sendable () -> Verdict.Action,
            _ verdict: @escaping @Sendable (ClientBench, Conversation) -> Verdict
        ) -> Scenario {
            Scenario(reason, action()) {
                let prefix = IPPrefix(Conversation().server, length: 32)
                return verdict(ClientBench { $0.servers = [prefix].compactMap(\.self) }, Conversation())
            }
        }
    }

    private static let maskedRewrite = HeaderRewrite(
        sequenceNumber: Conversation().masked.serverISN, identifier: Conversation().masked.nonce)

    /// A SYN with the right code of a guest to whom not all is open.
    private static func guest(
        _ reason: Reason, ports: [UInt16] = [22], networks: [IPPrefix] = [], expires: Int64? = nil
    ) -> Scenario {
        Scenario(reason, .drop) {
            let bench = ServerBench()
            let guest = Guest(
                id: KeyID(1), keys: TestKeys.published, ports: ports, networks: networks, expires: expires)
            bench.engine = ServerEngine(guests: [guest], configuration: ServerEngine.Configuration.usual)
            return bench.begin(Conversation())
        }
    }

    /// An engine with two guests: 0 has the published key, 1 the other.
    private static func twoGuests(_ change: (inout ServerEngine.Configuration) -> Void = { _ in }) -> ServerBench {
        let bench = ServerBench()
        var configuration = ServerEngine.Configuration.usual
        change(&configuration)
        let guests = [TestKeys.published, TestKeys.other].enumerated().map { number, keys in
            Guest(id: KeyID(UInt32(number)), keys: keys, ports: [22])
        }
        bench.engine = ServerEngine(guests: guests, configuration: configuration)
        return bench
    }

    static let scenarios: [Scenario] = [
        .server(.truncated, .drop) { bench, talk in bench.receive(Array(talk.plainSYN.prefix(30))) },
        .server(.malformed, .drop) { bench, _ in bench.receive([UInt8](repeating: 0x40, count: 40)) },
        .server(.fragment, .drop) { bench, _ in bench.receive(WireErrorPacket.all[3].bytes) },
        .server(.notTCP, .drop) { bench, _ in bench.receive(WireErrorPacket.all[4].bytes) },
        .server(.otherPort, .drop) { bench, talk in bench.begin(talk.with { $0.serverPort = 23 }) },
        .server(.otherSegment, .drop) { bench, talk in
            bench.send(talk.fromServer(sequence: 1, acknowledgment: 1, .ack)).verdict
        },
        .server(.incompleteCopy, .drop) { bench, talk in
            bench.begin(talk)
            var synAck = talk.synAck()
            synAck[3] += 4
            return bench.send(synAck).verdict
        },
        Scenario(.exempt, .accept) {
            let bench = ServerBench { $0.exempt = [IPPrefix(Conversation().client, length: 32)].compactMap(\.self) }
            return bench.receive(Conversation().plainSYN)
        },
        .server(.synWithoutCode, .drop) { bench, talk in bench.receive(talk.plainSYN) },
        .server(.synWithWrongCode, .drop) { bench, talk in
            bench.receive(talk.syn(bench.now.slot, keys: TestKeys.other))
        },
        Scenario(.tooManyWrongCodes, .drop) {
            let bench = ServerBench { $0.wrongCodeLimit = 1 }
            return bench.receive(Conversation().syn(bench.now.slot, keys: TestKeys.other))
        },
        guest(.guestExpired, expires: 0),
        guest(.guestFromOtherNetwork, networks: [IPPrefix(IPAddress(203, 0, 113, 0), length: 24)].compactMap(\.self)),
        guest(.guestAtOtherPort, ports: [443]),
        guest(.knocked, ports: []),
        .server(.synDamaged, .drop) { bench, talk in bench.receive(talk.syn(bench.now.slot).flipping(bit: 38 * 8)) },
        .server(.synWithData, .drop) { bench, talk in bench.receive(talk.syn(bench.now.slot, payload: [1])) },
        .server(.synReplayed, .drop) { bench, talk in
            bench.verify(talk)
            return bench.begin(talk)
        },
        .server(.synOfRetiredSlot, .drop) { bench, talk in
            bench.begin(talk)
            bench.now.uptime += 180_000
            return bench.begin(talk)
        },
        Scenario(.replayCacheFull, .drop) {
            let bench = ServerBench { $0.replayCapacity = 1 }
            bench.begin(Conversation())
            return bench.begin(Conversation().with { $0.clientISN = 1 })
        },
        Scenario(.guestShareUsed, .drop) {
            let bench = twoGuests { $0.replayCapacity = 4 }
            for isn in 1...3 as ClosedRange<UInt32> { bench.begin(Conversation().with { $0.clientISN = isn }) }
            return bench.begin(Conversation().with { $0.clientISN = 4 })
        },
        Scenario(.guestTooFast, .drop) {
            let bench = twoGuests { $0.guestSYNRate = 1 }
            for isn in 1...10 as ClosedRange<UInt32> { bench.begin(Conversation().with { $0.clientISN = isn }) }
            return bench.begin(Conversation().with { $0.clientISN = 11 })
        },
        .server(.tooManyUnanswered, .drop) { bench, talk in
            for isn in 1...16 as ClosedRange<UInt32> { bench.answer(talk.with { $0.clientISN = isn }) }
            return bench.begin(talk)
        },
        Scenario(.synOfOtherHandshake, .drop) {
            let bench = twoGuests()
            bench.begin(Conversation())
            return bench.receive(Conversation().syn(bench.now.slot, keys: TestKeys.other))
        },
        .server(.synAckOnVerified, .drop) { bench, talk in
            bench.begin(talk)
            return bench.send(talk.synAck(), isMarked: true).verdict
        },
        .server(.synAccepted, .accept) { bench, talk in bench.begin(talk) },
        .server(.synRetransmitted, .accept) { bench, talk in
            bench.begin(talk)
            return bench.begin(talk)
        },
        .server(.synAckMasked, .rewrite(maskedRewrite)) { bench, talk in
            bench.begin(talk)
            return bench.send(talk.synAck()).verdict
        },
        .server(.synAckWithoutHandshake, .drop) { bench, talk in bench.send(talk.synAck()).verdict },
        .server(.segmentWithoutHandshake, .drop) { bench, talk in bench.receive(talk.thirdACK) },
        .server(.impossibleFlags, .drop) { bench, talk in
            bench.receive(talk.fromClient(sequence: 1, acknowledgment: 1, [.syn, .fin]))
        },
        .server(.segmentBeforeSynAck, .drop) { bench, talk in
            bench.begin(talk)
            return bench.receive(talk.thirdACK)
        },
        .server(.segmentOutOfSequence, .drop) { bench, talk in
            bench.answer(talk)
            return bench.receive(talk.fromClient(sequence: 5, acknowledgment: talk.serverISN &+ 1, .ack))
        },
        .server(.segmentDamaged, .drop) { bench, talk in
            bench.answer(talk)
            return bench.receive(talk.acknowledging(1).damaged())
        },
        .server(.wrongAcknowledgment, .drop) { bench, talk in bench.lockOut(talk) },
        .server(.maskedAcknowledgment, .drop) { bench, talk in
            bench.answer(talk)
            return bench.receive(talk.acknowledging(talk.masked.serverISN &+ 1))
        },
        .server(.acknowledgmentVerified, .acceptAsVerified) { bench, talk in bench.verify(talk) },
        .server(.segmentOfVerified, .acceptAsVerified) { bench, talk in
            bench.verify(talk)
            return bench.receive(talk.thirdACK)
        },
        .server(.resetOfHandshake, .accept) { bench, talk in
            bench.answer(talk)
            return bench.receive(talk.reset())
        },
        .server(.resetBeforeSynAck, .accept) { bench, talk in
            bench.begin(talk)
            return bench.receive(talk.reset())
        },
        .server(.lockedOut, .drop) { bench, talk in
            bench.lockOut(talk)
            return bench.begin(talk)
        },
        .client(.synCoded, .rewrite(HeaderRewrite(acknowledgmentNumber: 0xaf00_7680))) { bench, talk in
            bench.send(talk.plainSYN).verdict
        },
        .client(.synAlreadyCoded, .accept) { bench, talk in bench.send(talk.syn(bench.now.slot)).verdict },
        .client(.synAtTheEnd, .accept) { bench, talk in
            bench.engine.leave()
            return bench.send(talk.plainSYN).verdict
        },
        Scenario(.synToOtherServer, .accept) {
            let target = Target(id: KeyID(0), keys: TestKeys.published, prefixes: [], ports: [22])
            let bench = ClientBench()
            bench.engine = ClientEngine(targets: [target], handshakeCapacity: 4)
            return bench.send(Conversation().plainSYN).verdict
        },
        .client(.synAckProven, .rewrite(HeaderRewrite(sequenceNumber: 0x9abc_def0))) { bench, talk in
            bench.receive(talk.maskedSYNACK()).verdict
        },
        .client(.synAckOfOtherServer, .accept) { bench, talk in
            bench.receive(talk.with { $0.server = IPAddress(203, 0, 113, 1) }.synAck()).verdict
        },
        .client(.proofMissing, .drop) { bench, talk in bench.receive(talk.synAck()).verdict },
        .client(.proofWrong, .drop) { bench, talk in
            bench.receive(talk.fromServer(sequence: 1, acknowledgment: 2, [.syn, .ack], identifier: 3)).verdict
        },
    ]

    @Test("A way to the reason", arguments: scenarios)
    func reason(_ scenario: Scenario) {
        #expect(scenario.verdict() == Verdict(scenario.action(), scenario.reason))
    }

    @Test func thereIsAWayToEachReason() {
        #expect(Set(Self.scenarios.map(\.reason)) == Set(Reason.allCases))
    }

    @Test("A reason's name is lower case words joined by hyphens", arguments: Reason.allCases)
    func name(_ reason: Reason) {
        let words = reason.name.split(separator: "-", omittingEmptySubsequences: false)
        #expect(words.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isLowercase } })
        // It is the case's own name.
        #expect(words.joined() == "\(reason)".lowercased())
    }

    @Test("A reason's explanation is a sentence", arguments: Reason.allCases)
    func explanation(_ reason: Reason) {
        #expect(reason.explanation.first?.isUppercase == true)
        #expect(reason.explanation.last == ".")
        #expect(!reason.explanation.contains("\n"))
    }

    @Test func namesAndExplanationsDiffer() {
        #expect(Set(Reason.allCases.map(\.name)).count == Reason.allCases.count)
        #expect(Set(Reason.allCases.map(\.explanation)).count == Reason.allCases.count)
    }
}
