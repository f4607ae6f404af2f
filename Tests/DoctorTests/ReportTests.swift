// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import Settings
import Testing

@testable import Doctor

@Suite struct ReportTests {
    private static let report = Report([
        Report.Part(
            subject: DoctorSubject(.server),
            findings: [
                Finding("key", .ok, "good"),
                Finding("queue", .error, "nobody listens \"there\"", cure: "tcpknock-server"),
                Finding("mark", .warning, "odd"), Finding("clock", .note, "late"),
            ]),
        Report.Part(subject: DoctorSubject(.client), findings: [Finding("key", .error, "none", cure: "keygen")]),
    ])

    @Test func text() {
        #expect(
            Self.report.text == """
                server: queue 100, port 22, mark 0x1000 (by the defaults)
                  ok       key    good
                  ERROR    queue  nobody listens "there"
                                  -> tcpknock-server
                  WARNING  mark   odd
                  note     clock  late
                client: queue 200, port 22 (by the defaults)
                  ERROR    key    none
                                  -> keygen
                2 errors, 1 warning, 1 note

                """)
    }

    @Test func json() throws {
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(Self.report.json.utf8)) as? [String: Any])
        #expect(object["errors"] as? Int == 2 && object["warnings"] as? Int == 1)
        let examined = try #require(object["examined"] as? [[String: Any]])
        #expect(examined.map { $0["role"] as? String } == ["server", "client"])
        let findings = try #require(examined[0]["findings"] as? [[String: String]])
        #expect(
            findings[1] == [
                "check": "queue", "severity": "error", "found": "nobody listens \"there\"", "cure": "tcpknock-server",
            ])
        #expect(findings[0]["cure"] == nil)
        let empty = try #require(try JSONSerialization.jsonObject(with: Data(Report([]).json.utf8)) as? [String: Any])
        #expect((empty["examined"] as? [Any])?.isEmpty == true)
    }

    @Test("Text of others cannot speak to a terminal, nor fill it") func printable() {
        let finding = Finding("x", .note, "a\u{1b}[31m\nb\u{9b}\u{202e}c\u{2028}", cure: "\u{7}")
        #expect(finding.found == "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}")
        #expect(finding.cure == "\u{fffd}")
        #expect(Finding("x", .note, String(repeating: "e\u{301}", count: 10_000)).found.unicodeScalars.count == 600)
    }

    @Test("Worse is greater") func order() {
        #expect(Severity.allCases.sorted() == [.ok, .note, .warning, .error])
        #expect(!(Severity.ok < .ok))
    }

    @Test("Commands have the values that are not the defaults") func commands() {
        var subject = DoctorSubject(.server)
        #expect(subject.script("up") == "/usr/local/lib/tcpknock/server.sh up")
        #expect(subject.daemonCommand == "tcpknock-server")
        subject.targetPorts = [22, 443]
        subject.queues = 7...9
        subject.mark = 0x4000
        subject.usesTime = false
        subject.keyFiles = [DoctorSubject.NamedKey(path: "/k")]
        let flags = " --target-port 22 --target-port 443 --mark 0x4000 --queue-num 7:9"
        #expect(subject.script("up") == "/usr/local/lib/tcpknock/server.sh up" + flags)
        #expect(subject.script("down") == "/usr/local/lib/tcpknock/server.sh down")
        #expect(subject.daemonCommand == "tcpknock-server --key-file /k\(flags) --no-time")
        subject.iptables = .legacy
        let more = flags.replacing(" --queue", with: " --iptables legacy --queue")
        #expect(subject.script("up") == "/usr/local/lib/tcpknock/server.sh up\(more)")
        #expect(subject.script("status") == "/usr/local/lib/tcpknock/server.sh status")
        #expect(subject.daemonCommand == "tcpknock-server --key-file /k\(more) --no-time")
        subject.configuration = "/c"
        #expect(subject.daemonCommand == "tcpknock-server --config /c")
    }
}
