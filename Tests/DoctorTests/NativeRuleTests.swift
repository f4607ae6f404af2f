// SPDX-License-Identifier: GPL-2.0-or-later
import Control
import Testing

@testable import Doctor

@Suite("The text of nft list ruleset") struct NativeRuleTests {
    /// What is found about a rule of nft.
    private func found(_ rule: String, queues: ClosedRange<UInt16> = 100...100) -> [ForeignRule] {
        var made = MadeUpHost()
        made.say("nft -a list ruleset", "table ip t {\n\tchain c {\n\t\t\(rule)\n\t}\n}\n")
        var subject = DoctorSubject(.server)
        subject.queues = queues
        return made.foreignRules(subject)
    }

    @Test func rules() {
        var made = MadeUpHost()
        made.say(
            "nft -a list ruleset",
            """
            table inet f { # handle 2
            \tset s { # handle 5
            \t\ttype ipv4_addr
            \t\telements = { 192.0.2.1 }
            \t}
            \tchain c { # handle 1
            \t\ttype filter hook prerouting priority raw; policy accept;
            \t\ttcp dport 22 notrack comment " # handle 9" # handle 7
            \t\tct mark set meta mark
            \t}
            }
            table ip other { # handle 3
            """)
        let rules = made.foreignRules()
        #expect(
            rules.map(\.rule)
                == ["tcp dport 22 notrack comment \" # handle 9\"", "ct mark set meta mark"].map {
                    "nft table inet f, chain c: \($0)"
                })
        #expect(rules.map(\.undo) == ["nft delete rule inet f c handle 7", "nft -a list chain inet f c"])
    }

    @Test(
        "Whether a rule is about port 22",
        arguments: [
            ("tcp dport 22 redirect", true), ("tcp dport 80 redirect", false),
            ("tcp dport { 80, 20-25 } redirect", true),
            ("tcp dport { 80, 443 } redirect", false), ("tcp dport != 22 redirect", false),
            ("tcp dport != 80 redirect", true),
            ("udp dport 22 redirect", false), ("th dport 22 redirect", true), ("tcp dport @ports redirect", true),
            ("redirect", true),
            ("meta l4proto udp redirect", false), ("iifname \"lo\" redirect", false), ("redirect tcp dport", true),
            ("redirect tcp dport { 22", true), ("dport 22 redirect", false), ("tcp dport != @ports redirect", true),
        ])
    func concerns(_ text: String, _ expected: Bool) {
        #expect(found(text).contains { $0.effect == .translation } == expected)
    }

    @Test(
        "Queues",
        arguments: [
            ("queue num 100 bypass", 100...100), ("queue flags bypass to 100-103", 100...103), ("queue", 0...0),
            ("queue to symhash mod 2", nil), ("accept", nil), ("queue num 9-5", nil),
        ] as [(String, ClosedRange<UInt16>?)])
    func queues(_ text: String, _ expected: ClosedRange<UInt16>?) {
        func isFound(_ queues: ClosedRange<UInt16>) -> Bool {
            found(text, queues: queues).contains { $0.effect == .queue }
        }
        guard let expected else {
            #expect(!isFound(0...65535))
            return
        }
        #expect(isFound(expected.upperBound...expected.upperBound) && isFound(0...expected.lowerBound))
        #expect(!isFound(expected.upperBound + 1...65535))
        #expect(expected.lowerBound == 0 || !isFound(0...expected.lowerBound - 1))
    }

    @Test(
        "Marks",
        arguments: [
            ("ct mark set 0x1", Severity.error), ("ct mark set 0x1000", .error), ("ct mark set meta mark", .error),
            ("ct mark set ct mark | 0x00000010", nil), ("ct mark set ct mark | 0x1000", .error),
            ("ct mark set ct mark & 0xffffefff | 0x1", .error), ("ct mark set ct mark & 0xffffff00 | 0x1", nil),
            ("meta mark set 0x1", .note), ("meta mark set meta mark | 0x1000", .note), ("counter accept", nil),
            ("tcp dport 22 ct mark set 0x1", .warning), ("meta mark set 0x1000", .error), ("ct mark set", nil),
        ] as [(String, Severity?)])
    func marks(_ text: String, _ severity: Severity?) {
        let rule = found(text).first { $0.effect == .mark }
        #expect(rule.flatMap { Severity(rawValue: $0.severity) } == severity)
    }
}
