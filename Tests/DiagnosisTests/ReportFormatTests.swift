// SPDX-License-Identifier: GPL-2.0-or-later
import JSONText
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import Diagnosis

extension JSONValue {
    /// The member of an object; nil for other values.
    fileprivate subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The names of the members of an object, in their order.
    fileprivate var names: [String] {
        guard case .object(let members) = self else { return [] }
        return members.map(\.name)
    }
}

@Suite("Reports for programs and people") struct ReportFormatTests {
    @Test("A handshake that works", arguments: Conversation.kinds)
    func trace(_ it: Conversation) throws {
        let json = try #require(it.trace([it.syn, it.synACK, it.ack, it.serverData(0, 7)])).json
        #expect(
            json.names == [
                "client", "client_port", "server", "server_port", "begin_seconds", "begin_nanoseconds", "client_isn",
                "syn", "syn_ack", "third_ack", "after", "verdict", "explanation",
            ])
        #expect(json["client"] == .string("\(it.client)"))
        #expect(json["client_isn"] == .string("12345678"))
        let syn = try #require(json["syn"])
        #expect(syn["finding"] == .string("right-code") && syn["key"] == .string("k"))
        #expect(syn["mask"] == .string("\(it.mode)") && syn["bound_to"] == .string("source"))
        #expect(syn["minutes_off"] == .integer(0) && syn["uses_time"] == .boolean(true))
        let synACK = try #require(json["syn_ack"])
        #expect(synACK["finding"] == .string("proven") && synACK["true_isn"] == .string("9abcdef0"))
        #expect(synACK["isn"] == .string(it.maskedISN.hexadecimal) && synACK["address"] == json["client"])
        #expect(
            json["third_ack"]
                == .object(["after_microseconds": .integer(2_000_000), "acknowledges": .string("true-isn")]))
        #expect(json["after"]?["server"]?["bytes"] == .integer(7))
        #expect(json["after"]?["server_went_on"] == .boolean(true))
        #expect(json["verdict"] == .string("works"))
    }

    @Test("What the third ACK acknowledges", arguments: Conversation.kinds)
    func acknowledgments(_ it: Conversation) throws {
        let plain = it.synACK(isn: 77, nonce: 0)
        for (packets, name) in [
            ([it.syn, it.synACK, it.ack(of: it.maskedISN)], "masked-isn"),
            ([it.syn, plain, it.ack(of: 77)], "captured-isn"),
            ([it.syn, it.synACK, it.ack(of: it.serverISN ^ 0x1_0000)], "other"), ([it.syn, it.ack], "not-judged"),
        ] {
            let trace = try #require(it.trace(packets))
            #expect(trace.json["third_ack"]?["acknowledges"] == .string(name))
        }
    }

    @Test("What is missing is null, and what is no knock is named")
    func ordinary() throws {
        let it = Conversation()
        let wrong = Conversation(keys: TestKeys.other)
        let plain = try #require(it.trace([it.syn(code: 0), it.synACK(isn: 77, nonce: 0)])).json
        #expect(plain["syn"]?["finding"] == .string("no-code"))
        #expect(plain["syn_ack"]?["finding"] == .string("plain"))
        #expect(plain["third_ack"] == .null)
        let other = try #require(it.trace([wrong.syn, wrong.synACK])).json
        #expect(other["syn"]?["finding"] == .string("unknown-code"))
        #expect(other["syn_ack"]?["finding"] == .string("not-proven"))
        let timeless = try #require(it.trace([Conversation(usesTime: false).syn])).json
        #expect(timeless["syn"]?["uses_time"] == .boolean(false) && timeless["syn"]?["minutes_off"] == .null)
        #expect(timeless["syn_ack"] == .null)
    }

    @Test("Each verdict is explained in words of its own")
    func verdicts() {
        let explanations = Set(TraceVerdict.allCases.map(\.explanation))
        #expect(explanations.count == TraceVerdict.allCases.count)
        #expect(explanations.allSatisfy { $0.count > 20 })
    }

    /// A probe without an answer that tried everything.
    private static var thorough: ProbeFindings {
        let it = ProbeFindingsTests.it
        var findings = ProbeFindingsTests.findings(.silence, [it.syn, it.syn])
        findings.fingerprint = "0123-4567"
        findings.trials = [
            Trial(.wrongCode, .silence), Trial(.asConfigured, .silence), Trial(.minutesLater(-9), .silence),
            Trial(.minutesLater(8), .silence), Trial(.minutesLater(9), .refused), Trial(.otherTiming, .unproven),
            Trial(.address(AddressCandidate(IPAddress(203, 0, 113, 7), .given)), .silence),
            Trial(.address(AddressCandidate(it.client, .source)), .silence),
            Trial(.address(AddressCandidate(.roaming, .roaming)), .silence),
        ]
        findings.hops = [Hop(distance: 2, router: IPAddress(10, 0, 0, 1), changes: [.identifier])]
        return findings
    }

    @Test("Experiments are told one a line, those of other minutes together")
    func experiments() throws {
        let text = Self.thorough.text
        let begin = try #require(text.firstRange(of: "Experiments:\n")?.upperBound)
        let end = try #require(text.firstRange(of: "Likely reasons")?.lowerBound)
        #expect(
            text[begin..<end] == """
                  wrong code: no answer
                  code by the settings: no answer
                  code of 9 minutes later: refused
                  code with the other time setting: answered without a right proof
                  code bound to 203.0.113.7: no answer
                  code bound to 192.0.2.10: no answer
                  code bound to no address (roaming): no answer
                  codes of 2 other minutes: no answer

                """)
    }

    @Test func probe() throws {
        let json = Self.thorough.json
        #expect(
            json.names == [
                "server", "local_address", "bound_to", "key", "mask", "works", "stages", "experiments", "routers",
                "windowed_gets_through", "reasons", "connection",
            ])
        #expect(json["key"] == .string("0123-4567") && json["works"] == .boolean(false))
        guard case .array(let stages)? = json["stages"], case .array(let experiments)? = json["experiments"],
            case .array(let reasons)? = json["reasons"]
        else { throw Missing() }
        #expect(stages.map { $0["name"] } == ProbeStage.Name.allCases.map { .string($0.rawValue) })
        let states = ["ok", "ok", "failed", "skipped", "skipped", "skipped"]
        #expect(stages.map { $0["state"] } == states.map { .string($0) })
        // All nine, those of other minutes, too.
        #expect(experiments.count == 9)
        #expect(experiments[3] == .object(["what": .string("code of 8 minutes later"), "answer": .string("silence")]))
        #expect(
            json["routers"]
                == .array([
                    .object([
                        "distance": .integer(2), "address": .string("10.0.0.1"),
                        "changes": .array([.string("identification field or flow label")]),
                    ])
                ]))
        #expect(json["windowed_gets_through"] == .null)
        #expect(reasons.map { $0["cause"] } == Self.thorough.reasons.map { .string($0.cause.rawValue) })
        #expect(json["connection"] == Self.thorough.connection?.json)

        var refused = ProbeFindingsTests.findings(.failed("Network is unreachable"), [])
        refused.windowedGetsThrough = true
        #expect(refused.json["connection"] == .null && refused.json["windowed_gets_through"] == .boolean(true))
    }

    struct Missing: Error {}
}
