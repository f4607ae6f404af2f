// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Settings
import Testing

@testable import Control
@testable import Linux
@testable import Server

@Suite("What the guard of the rules says") struct RulesReportTests {
    private static let whole = "state=up iptables=nft instance= wanted=yes ports=22,443 whole=22,443"

    @Test func rules() throws {
        guard case .rules(7, let report) = GuardLine("rules 7 \(Self.whole)") else {
            Issue.record("not read")
            return
        }
        #expect(report.state == .up && report.wanted == .yes && !report.isLegacy && report.instance.isEmpty)
        #expect(report.ports == [22, 443] && report.whole == [22, 443] && !report.isLoss)
        #expect(report.faults(.init(ports: [443, 22])) == [:])
        #expect(report.faults(.init(ports: [22, 80])) == [80: .missing])
    }

    @Test(
        "What is wrong with which port, and whether that is a loss",
        arguments: [
            ("state=partial iptables=legacy instance=b wanted=yes ports=22,443 whole=443", [22: .incomplete], true),
            ("state=partial iptables=nft instance= wanted=unconfirmed ports=22,443 whole=", nil, false),
            ("state=down iptables=nft instance= wanted=yes ports= whole=", [22: .missing, 443: .missing], true),
            ("state=down iptables=nft instance= wanted=no ports= whole=", [22: .missing, 443: .missing], false),
        ] as [(String, [UInt16: Protection.Fault]?, Bool)])
    func faults(_ text: String, _ faults: [UInt16: Protection.Fault]?, _ isLoss: Bool) throws {
        let report = try #require(RulesReport(text))
        #expect(report.faults(.init(ports: [22, 443])) == faults ?? [22: .incomplete, 443: .incomplete])
        #expect(report.isLoss == isLoss)
    }

    @Test(
        "Rules that protect less than the configuration says",
        arguments: [
            ("protect=own exempt=", [], [], true), ("protect=own", [], ["192.0.2.0/24"], true),
            ("protect= exempt=", ["10.0.0.0/24"], [], true), ("protect=own,10.0.0.0/24", ["10.0.0.0/24"], [], true),
            ("protect=own,10.0.0.0/24", [], [], true), ("protect=own", ["10.0.0.0/24"], [], false),
            ("protect=10.0.0.0/24", [], [], false), ("protect=own exempt=interface:wg0", [], [], false),
            ("protect=own exempt=interface:wg0,2001:db8::7", [], ["2001:db8::7/128", "interface:wg0"], true),
        ] as [(String, [String], [String], Bool)])
    func places(_ text: String, _ more: [String], _ exempt: [String], _ isWell: Bool) throws {
        let report = try #require(RulesReport("\(Self.whole) \(text)"))
        func places(_ texts: [String]) throws -> Set<Place> { Set(try texts.map { try #require(Place($0)) }) }
        let meant = RulesReport.Meant(ports: [22], protect: try places(["own"] + more), exempt: try places(exempt))
        #expect(report.faults(meant) == (isWell ? [:] : [22: .elsewhere]))
    }

    @Test("What leads past the knock, and what the kernel filter closes") func bypasses() throws {
        let rule = "iptables-nft -t mangle: -A PREROUTING -s 192.0.2.7/32 --comment \"a=b past=1\" -j ACCEPT"
        let report = try #require(
            RulesReport("\(Self.whole) protect=own exempt= closed=22 past=22,443 mended=up rule=\(rule) \n"))
        #expect(report.closed == [22])
        let fault = Protection.Fault.bypassed(rule, yields: true)
        #expect(report.faults(.init(ports: [22, 443, 80])) == [22: fault, 443: fault, 80: .missing])
        let other = try #require(RulesReport("\(Self.whole) past=443 mended=rule rule=r"))
        #expect(other.closed.isEmpty && report != other)
        #expect(other.faults(.init(ports: [22, 443])) == [443: .bypassed("r", yields: false)])
    }

    @Test func otherLines() {
        #expect(GuardLine("unknown 3 must run as root \n") == .unknown(3, "must run as root"))
        #expect(GuardLine("say err could not") == .says(isError: true, "could not"))
        #expect(GuardLine("say notice are back") == .says(isError: false, "are back"))
    }

    @Test(
        "What is no such line",
        arguments: [
            "", "rules", "rules 1", "rules x \(whole)", "rules -1 \(whole)", "rules 1 state=up", "unknown x why",
            "rules 1 state=on iptables=nft instance= wanted=yes ports= whole=",
            "rules 1 state=up iptables=nft instance= wanted=yes ports=22,65536 whole=",
            "rules 1 state=up iptables=nft instance= wanted=yes ports=22", "rules 1 \(whole) exempt=x",
            "server.sh: must run as root",
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
