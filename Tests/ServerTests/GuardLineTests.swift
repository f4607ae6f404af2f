// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Settings
import Testing

@testable import Control
@testable import Linux
@testable import Server

@Suite("What the guard of the rules says") struct GuardLineTests {
    /// The JSON object of rules for two ports, with these members instead.
    private static func json(_ more: [String: String] = [:]) -> String {
        let members = [
            "role": #""server""#, "state": #""up""#, "instance": #""""#, "ports": "[22, 443]", "queue": #""100""#,
            "mark": #""0x1000""#, "protect": #"["own"]"#, "exempt": "[]", "iptables": #""nft""#, "wanted": #""yes""#,
            "complete_ports": "[22, 443]", "closed_ports": "[]", "foreign": "[]", "unread": "[]",
        ].merging(more) { $1 }
        return "{" + members.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}"
    }

    private static func bypass(_ port: Int, _ mended: String, _ rule: String) -> String {
        #"{"effect": "bypass", "severity": "error", "what": "it leads past", "rule": "\#(rule)", "undo": "", "#
            + #""port": \#(port), "mended_by": "\#(mended)"}"#
    }

    @Test func rules() throws {
        guard case .rules(7, let status) = GuardLine("rules 7 \(Self.json())") else {
            Issue.record("not read")
            return
        }
        #expect(status.state == .up && status.wanted == .yes && !status.isLegacy && status.instance.isEmpty)
        #expect(status.ports == [22, 443] && status.completePorts == [22, 443] && !status.isLoss)
        #expect(IntendedRules(ports: [443, 22]).faults(status) == [:])
        #expect(IntendedRules(ports: [22, 80]).faults(status) == [80: .missing])
    }

    @Test(
        "What is wrong with which port, and whether that is a loss",
        arguments: [
            (
                ["state": "partial", "iptables": "legacy", "instance": "b", "wanted": "yes"], "[443]",
                [22: .incomplete], true
            ),
            (["state": "partial", "wanted": "unconfirmed"], "[]", nil, false),
            (["state": "down", "wanted": "yes"], nil, [22: .missing, 443: .missing], true),
            (["state": "down", "wanted": "no"], nil, [22: .missing, 443: .missing], false),
        ] as [([String: String], String?, [UInt16: Protection.Fault]?, Bool)])
    func faults(
        _ members: [String: String], _ complete: String?, _ faults: [UInt16: Protection.Fault]?, _ isLoss: Bool
    ) throws {
        let ports = complete == nil ? ["ports": "[]"] : [:]
        let text = Self.json(
            members.mapValues { "\"\($0)\"" }.merging(ports) { $1 }.merging(["complete_ports": complete ?? "[]"]) { $1 }
        )
        let status = try #require(FirewallStatus(text))
        #expect(IntendedRules(ports: [22, 443]).faults(status) == faults ?? [22: .incomplete, 443: .incomplete])
        #expect(status.isLoss == isLoss)
    }

    @Test(
        "Rules that protect less than the configuration says",
        arguments: [
            (["own"], [], [], [], true), (["own"], [], [], ["192.0.2.0/24"], true),
            ([], [], ["10.0.0.0/24"], [], true), (["own", "10.0.0.0/24"], [], ["10.0.0.0/24"], [], true),
            (["own", "10.0.0.0/24"], [], [], [], true), (["own"], [], ["10.0.0.0/24"], [], false),
            (["10.0.0.0/24"], [], [], [], false), (["own"], ["interface:wg0"], [], [], false),
            (["own"], ["interface:wg0", "2001:db8::7"], [], ["2001:db8::7/128", "interface:wg0"], true),
        ] as [([String], [String], [String], [String], Bool)])
    func places(
        _ protect: [String], _ exempt: [String], _ more: [String], _ mayBeExempt: [String], _ isWell: Bool
    ) throws {
        let status = try #require(FirewallStatus(Self.json(["protect": "\(protect)", "exempt": "\(exempt)"])))
        func places(_ texts: [String]) throws -> Set<Place> { Set(try texts.map { try #require(Place($0)) }) }
        let intended = IntendedRules(
            ports: [22], protect: try places(["own"] + more), exempt: try places(mayBeExempt))
        #expect(intended.faults(status) == (isWell ? [:] : [22: .elsewhere]))
    }

    @Test("What leads past the knock, and what the kernel filter closes") func bypasses() throws {
        let rule = #"iptables-nft -t mangle: -A PREROUTING -s 192.0.2.7/32 --comment \"a=b, {past\" -j ACCEPT"#
        let foreign = "[\(Self.bypass(22, "up", rule)), \(Self.bypass(443, "up", "other"))]"
        let status = try #require(FirewallStatus(Self.json(["closed_ports": "[22]", "foreign": foreign])))
        #expect(status.closedPorts == [22])
        let fault = Protection.Fault.bypassed(rule.replacing(#"\""#, with: #"""#), yields: true)
        #expect(IntendedRules(ports: [22, 443, 80]).faults(status) == [22: fault, 443: fault, 80: .missing])
        let other = try #require(FirewallStatus(Self.json(["foreign": "[\(Self.bypass(443, "rule", "r"))]"])))
        #expect(other.closedPorts.isEmpty && status != other)
        #expect(IntendedRules(ports: [22, 443]).faults(other) == [443: .bypassed("r", yields: false)])
    }

    @Test func otherLines() {
        #expect(GuardLine("unknown 3 must run as root \n") == .unknown(3, "must run as root"))
        #expect(GuardLine("say err could not") == .says(isError: true, "could not"))
        #expect(GuardLine("say notice are back") == .says(isError: false, "are back"))
    }

    @Test(
        "What is no such line",
        arguments: [
            "", "rules", "rules 1", "rules x \(json())", "rules -1 \(json())", "rules 1 {}", "unknown x why",
            "rules 1 \(json(["state": "\"on\""]))", "rules 1 \(json(["ports": "[22, 65536]"]))",
            "rules 1 \(json(["complete_ports": "[\"22\"]"]))", "rules 1 \(json(["exempt": "[\"x\"]"]))",
            "rules 1 \(json())x", "rules 1 \(json().dropLast())", "server.sh: must run as root",
        ])
    func malformed(_ line: String) { #expect(GuardLine(line) == nil) }

    @Test("Lines, however they come") func lines() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        var reader = LineReader(ends[0])
        func send(_ text: String) { #expect(write(ends[1], text, text.utf8.count) == text.utf8.count) }
        #expect(reader.read() == [])
        send("a\nb")
        #expect(reader.read() == ["a"])
        send("c\n\n")
        #expect(reader.read() == ["bc", ""])
        send(String(repeating: "x", count: 20_000))
        #expect(reader.read() == [])
        send("\nlast")
        #expect(reader.read().first?.hasPrefix("xxx") == true)
        close(ends[1])
        #expect(reader.read().last == "last" && reader.isAtEnd)
    }
}
