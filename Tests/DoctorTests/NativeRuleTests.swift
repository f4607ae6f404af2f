// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

@Suite("The text of nft list ruleset") struct NativeRuleTests {
    @Test func rules() {
        let rules = NativeRule.parse(
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
        #expect(rules.map(\.text) == ["tcp dport 22 notrack comment \" # handle 9\"", "ct mark set meta mark"])
        #expect(rules.map(\.removal) == ["nft delete rule inet f c handle 7", "nft -a list chain inet f c"])
        #expect(rules.allSatisfy { $0.family == "inet" && $0.table == "f" && $0.chain == "c" })
    }

    @Test(
        "Whether a rule is about port 22",
        arguments: [
            ("tcp dport 22 accept", true), ("tcp dport 80 accept", false), ("tcp dport { 80, 20-25 } accept", true),
            ("tcp dport { 80, 443 } accept", false), ("tcp dport != 22 accept", false),
            ("tcp dport != 80 accept", true),
            ("udp dport 22 accept", false), ("th dport 22 accept", true), ("tcp dport @ports accept", true),
            ("accept", true),
            ("meta l4proto udp accept", false), ("iifname \"lo\" accept", false), ("tcp dport", true),
            ("tcp dport { 22", true), ("dport 22", false), ("tcp dport != @ports accept", true),
        ])
    func concerns(_ text: String, _ expected: Bool) {
        #expect(NativeRule(family: "ip", table: "t", chain: "c", text: text).mayConcern(port: 22, .toPort) == expected)
    }

    @Test(
        "Queues",
        arguments: [
            ("queue num 100 bypass", 100...100), ("queue flags bypass to 100-103", 100...103), ("queue", 0...0),
            ("queue to symhash mod 2", nil), ("accept", nil), ("queue num 9-5", nil),
        ] as [(String, ClosedRange<UInt16>?)])
    func queues(_ text: String, _ expected: ClosedRange<UInt16>?) {
        #expect(NativeRule(family: "ip", table: "t", chain: "c", text: text).queues == expected)
    }

    @Test(
        "Marks",
        arguments: [
            ("ct mark set 0x1", Severity.error), ("ct mark set 0x1000", .error), ("ct mark set meta mark", .error),
            ("ct mark set ct mark | 0x00000010", nil), ("ct mark set ct mark | 0x1000", .error),
            ("ct mark set ct mark & 0xffffefff | 0x1", .error), ("ct mark set ct mark & 0xffffff00 | 0x1", nil),
            ("meta mark set 0x1", .note), ("meta mark set meta mark | 0x1000", .note), ("counter accept", nil),
            ("ct mark set", nil),
        ] as [(String, Severity?)])
    func marks(_ text: String, _ severity: Severity?) {
        let rule = NativeRule(family: "ip", table: "t", chain: "c", text: text)
        #expect(MarkUse(native: rule, bit: 0x1000)?.severity == severity)
    }
}
