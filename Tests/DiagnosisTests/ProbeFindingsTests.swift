// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct ProbeFindingsTests {
    static let it = Conversation()

    /// Findings of a connection whose packets were these.
    static func findings(_ outcome: ConnectionOutcome, _ packets: [[UInt8]]) -> ProbeFindings {
        var findings = ProbeFindings(
            localAddress: it.client, serverAddress: it.server, configured: AddressCandidate(it.client, .source),
            queueNumber: 200, scripts: "/scripts")
        findings.connection = it.trace(packets)
        findings.outcome = outcome
        return findings
    }

    private static let silent = findings(.silence, [it.syn, it.syn])

    private static func causes(_ findings: ProbeFindings) -> [LikelyReason.Cause] { findings.reasons.map(\.cause) }

    @Test func allIsWell() {
        let findings = Self.findings(.works, [Self.it.syn, Self.it.synACK, Self.it.ack, Self.it.serverData(0, 1)])
        #expect(findings.works)
        #expect(findings.stages.allSatisfy { $0.state == .ok })
        #expect(findings.reasons.isEmpty)
        #expect(findings.text.hasSuffix("The knock works.\n"))
    }

    @Test("Stages behind the first that failed are skipped", arguments: ProbeStage.Name.allCases)
    func stages(_ failing: ProbeStage.Name) {
        let it = Self.it
        let answer = [it.syn, it.synACK]
        let findings =
            switch failing {
            case .sent: Self.findings(.failed("Network is unreachable"), [])
            case .coded: Self.findings(.silence, [it.syn(code: 0)])
            case .answered: Self.silent
            case .proven: Self.findings(.withheld, [it.syn, it.synACK(isn: 1, nonce: 2)])
            case .unmasked: Self.findings(.notUnmasked, answer)
            case .accepted: Self.findings(.stalled, answer + [it.ack, it.synACK])
            }
        let names = ProbeStage.Name.allCases
        let position = names.firstIndex(of: failing) ?? 0
        let expected: [ProbeStage.State] =
            [ProbeStage.State](repeating: .ok, count: position) + [.failed]
            + [ProbeStage.State](repeating: .skipped, count: names.count - position - 1)
        #expect(findings.stages.map(\.state) == expected)
        #expect(!findings.works)
        #expect(!findings.reasons.isEmpty)
        #expect(findings.text.contains("FAILED  \(failing.rawValue)"))
    }

    @Test func whatAnAnsweredTrialShows() {
        let cases: [(Trial.Kind, LikelyReason.Cause)] = [
            (.asConfigured, .lost), (.address(AddressCandidate(IPAddress(1, 2, 3, 4), .given)), .natAddress),
            (.address(AddressCandidate(.roaming, .roaming)), .natAddress), (.minutesLater(9), .clock),
            (.minutesLater(-30), .clock), (.otherTiming, .timeSetting),
        ]
        for (kind, cause) in cases {
            var findings = Self.silent
            findings.trials = [Trial(.asConfigured, .silence), Trial(kind, .proven)]
            #expect(Self.causes(findings) == [cause])
            // An answer that proves nothing shows nothing.
            findings.trials = [Trial(.asConfigured, .silence), Trial(kind, .unproven)]
            #expect(Self.causes(findings).first == .wrongKey)
        }
    }

    @Test("The clock: which is ahead and by how much")
    func clock() throws {
        var findings = Self.silent
        for (minutes, text) in [(9, "8 to 10 minutes ahead of"), (-9, "8 to 10 minutes behind")] {
            findings.trials = [Trial(.minutesLater(minutes), .proven)]
            let reason = try #require(findings.reasons.first)
            #expect(reason.text.contains(text))
        }
    }

    @Test("What is likely when nothing is answered depends on where the server is")
    func silence() {
        var findings = Self.silent
        #expect(
            Self.causes(findings) == [.wrongKey, .serverDaemonMissing, .lockedOut, .codeChanged, .signed, .unreachable])
        findings.serverIsOnLink = true
        #expect(Self.causes(findings) == [.wrongKey, .serverDaemonMissing, .lockedOut, .signed, .unreachable])
        findings.isSigned = true
        #expect(Self.causes(findings) == [.signed, .wrongKey, .serverDaemonMissing, .lockedOut, .unreachable])
        findings.isSigned = false
        findings.localAddress = IPAddress(192, 168, 1, 5)
        #expect(Self.causes(findings).first == .wrongKey)
        findings.serverIsOnLink = false
        #expect(Self.causes(findings).prefix(2) == [.natAddress, .wrongKey])
    }

    @Test("A host on the way that says so comes first", arguments: IPFamily.allCases)
    func rejected(_ family: IPFamily) {
        let it = Conversation(family: family)
        let type: UInt8 = family == .ipv4 ? 3 : 1
        let bytes = ICMPQuoteTests.error(family, type: type, code: 13, about: it.syn)
        let quote = ICMPQuote(bytes.span)
        var findings = Self.silent
        findings.unreachable = quote
        let reporter = family == .ipv4 ? ICMPQuoteTests.router : ICMPQuoteTests.router6
        #expect(findings.stages[2].detail == "\(reporter) reports that it cannot be delivered")
        #expect(Self.causes(findings).prefix(2) == [.rejected, .wrongKey])
        #expect(findings.reasons.first?.evidence == "\(reporter) sent an ICMP error")
    }

    @Test("A SYN that nobody saw") func unseen() {
        let findings = Self.findings(.silence, [])
        #expect(findings.stages.first?.detail == "no SYN was seen on the interface")
        #expect(Self.causes(findings) == [.localFirewall])
    }

    @Test("A connection that ends before the server goes on") func ended() {
        let it = Self.it
        let reset = it.fromServer(.rst, it.serverISN &+ 1, 0)
        let findings = Self.findings(.refused, [it.syn, it.synACK, it.ack, reset])
        #expect(findings.stages.last?.detail == "the connection ended")
        #expect(Self.causes(findings) == [.lost])
        #expect(findings.reasons.first?.evidence == "as captured: reset")
    }

    @Test("A server that answers the daemon's SYN shows that the daemon's settings are right") func otherSettings() {
        let it = Conversation(keys: TestKeys.other)
        let findings = Self.findings(.works, [it.syn, it.synACK])
        #expect(Self.causes(findings) == [.clientOtherSettings])
        #expect(findings.reasons.first?.evidence.contains("those given here are not") == true)
    }

    @Test("A router that got the code changed is the cause; one that got another identification may be")
    func hops() {
        var findings = Self.silent
        let (near, far) = (IPAddress(10, 0, 0, 1), IPAddress(10, 0, 1, 1))
        findings.hops = [
            Hop(distance: 1, router: near, changes: []), Hop(distance: 2, router: far, changes: [.code]),
        ]
        #expect(Self.causes(findings) == [.codeChanged])
        #expect(findings.reasons.first?.evidence.contains("between router 1 and there") == true)
        findings.hops = [Hop(distance: 1, router: near, changes: [.identifier])]
        #expect(Self.causes(findings).prefix(2) == [.codeChanged, .wrongKey])
        findings.hops = []
        #expect(findings.reasons.contains { $0.evidence.contains("no router on the way reports") })
    }

    @Test func proofs() {
        var findings = Self.findings(.withheld, [Self.it.syn, Self.it.synACK(isn: 1, nonce: 2)])
        #expect(Self.causes(findings) == [.answerChanged])
        findings.trials = [Trial(.wrongCode, .unproven)]
        #expect(Self.causes(findings) == [.serverUnprotected])
        findings.trials = [Trial(.wrongCode, .silence)]
        findings.nonceSolutions = (3, 4)
        #expect(Self.causes(findings) == [.isnChanged])
        findings.nonceSolutions = (10, 10)
        #expect(Self.causes(findings) == [.nonceChanged])
        #expect(findings.reasons.first?.evidence.contains("probability of 1.0 %") == true)
    }

    @Test func refusals() {
        let refusal = Self.it.fromServer([.rst, .ack], 0, Conversation.clientISN &+ 1)
        var findings = Self.findings(.refused, [Self.it.syn, refusal])
        findings.trials = [Trial(.wrongCode, .silence)]
        #expect(Self.causes(findings) == [.serviceDown])
        // A closed port, or a server that answers wrong codes as one, to which ours is wrong.
        findings.trials = [Trial(.wrongCode, .refused)]
        #expect(Self.causes(findings).prefix(2) == [.serverUnprotected, .wrongKey])
        findings.trials.append(Trial(.minutesLater(3), .proven))
        #expect(Self.causes(findings) == [.clock])
    }

    @Test func stalls() {
        let it = Self.it
        var findings = Self.findings(.stalled, [it.syn, it.synACK, it.ack, it.synACK])
        #expect(Self.causes(findings) == [.statefulBox])
        #expect(findings.reasons.first?.advice.contains("try --isn-mask windowed") == true)
        findings.windowedGetsThrough = true
        #expect(findings.reasons.first?.advice.contains("it gets through") == true)
        findings.windowedGetsThrough = false
        #expect(findings.reasons.first?.advice.contains("does not get through either") == true)
        findings.mode = .windowed
        #expect(findings.reasons.first?.advice.contains("windowed already") == true)
    }

    @Test func theClientsHost() {
        var findings = Self.findings(.silence, [Self.it.syn(code: 0)])
        #expect(Self.causes(findings) == [.clientDaemonMissing])
        findings.queueIsHeld = true
        #expect(Self.causes(findings) == [.clientRulesMissing])
        findings = Self.findings(.silence, [Conversation(keys: TestKeys.other).syn])
        findings.trials = [Trial(.asConfigured, .proven)]
        #expect(Self.causes(findings) == [.clientOtherSettings])
    }

    @Test(
        "Private addresses",
        arguments: [
            (IPAddress(10, 255, 0, 1), true), (IPAddress(172, 15, 0, 1), false), (IPAddress(172, 31, 0, 1), true),
            (IPAddress(192, 168, 0, 1), true), (IPAddress(192, 169, 0, 1), false), (IPAddress(100, 64, 0, 1), true),
            (IPAddress(169, 254, 0, 1), true), (IPAddress(8, 8, 8, 8), false),
            (IPAddress(high: 0xfd00 << 48, low: 1), true), (IPAddress(high: 0xfe80 << 48, low: 1), true),
            (IPAddress(high: 0x2001_0db8 << 32, low: 1), false),
        ] as [(IPAddress, Bool)])
    func privateAddresses(_ address: IPAddress, _ isPrivate: Bool) {
        #expect(address.isPrivate == isPrivate)
    }
}
