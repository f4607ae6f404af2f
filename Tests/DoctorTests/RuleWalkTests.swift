// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

/// A table with chains of our own making, from rules in the syntax of iptables-save.
private func table(_ rules: String, chains: [String]) -> RuleTable {
    let own = chains.map { ":\($0) - [0:0]\n" }.joined()
    let text = "*mangle\n:PREROUTING ACCEPT [0:0]\n" + own + rules + "\nCOMMIT\n"
    return RuleText.parse(text).tables.first ?? RuleTable(name: "none")
}

@Suite("Walks along rules") struct RuleWalkTests {
    /// The targets that packets to port 22 come to; with a question mark where not all do.
    private func reached(_ rules: String, chains: [String] = ["A", "B"]) -> [String] {
        table(rules, chains: chains).reach(from: ["PREROUTING"], port: 22, [.toPort]).map {
            "\($0.rule.target ?? "-")\($0.isConditional ? "?" : "")"
        }
    }

    @Test func chains() {
        #expect(reached("-A PREROUTING -j A\n-A A -j MARK\n-A PREROUTING -j CONNMARK") == ["MARK", "CONNMARK"])
        #expect(reached("-A PREROUTING -s 192.0.2.1/32 -j A\n-A A -j MARK") == ["MARK?"])
        #expect(reached("-A PREROUTING -p tcp -m tcp --dport 80 -j A\n-A A -j MARK").isEmpty)
        #expect(reached("-A B -j MARK").isEmpty, "nothing leads there")
    }

    @Test("What decides ends the walk") func final() {
        #expect(reached("-A PREROUTING -j ACCEPT\n-A PREROUTING -j MARK") == ["ACCEPT"])
        #expect(reached("-A PREROUTING -i eth0 -j ACCEPT\n-A PREROUTING -j MARK") == ["ACCEPT?", "MARK"])
        #expect(reached("-A PREROUTING -j A\n-A A -j DROP\n-A PREROUTING -j MARK") == ["DROP"])
        #expect(reached("-A PREROUTING -i eth0 -j A\n-A A -j DROP\n-A PREROUTING -j MARK") == ["DROP?", "MARK"])
    }

    @Test("RETURN leaves a chain") func returns() {
        #expect(reached("-A PREROUTING -j A\n-A A -j RETURN\n-A A -j MARK\n-A PREROUTING -j CT") == ["RETURN", "CT"])
        #expect(
            reached(
                "-A PREROUTING -j A\n-A A -m addrtype --dst-type LOCAL -j RETURN\n-A A -j DROP\n-A PREROUTING -j CT")
                == ["RETURN?", "DROP?", "CT"])
    }

    @Test("A goto does not come back") func goto() {
        #expect(reached("-A PREROUTING -g A\n-A A -j MARK\n-A PREROUTING -j CT") == ["MARK"])
        #expect(reached("-A PREROUTING -i eth0 -g A\n-A A -j MARK\n-A PREROUTING -j CT") == ["MARK?", "CT"])
    }

    @Test("Loops and depth, which the kernel would refuse, end") func loops() {
        #expect(reached("-A PREROUTING -j A\n-A A -j B\n-A B -j A\n-A B -j MARK") == ["MARK"])
        #expect(reached("-A PREROUTING -j PREROUTING\n-A PREROUTING -j MARK").contains("MARK"))
        let names = (0..<500).map { "C\($0)" }
        let deep = zip(names, names.dropFirst()).map { "-A \($0) -j \($1)\n" }.joined()
        #expect(reached("-A PREROUTING -j C0\n" + deep, chains: names).isEmpty)
        // Each chain leads twice to the next: 2 to the power of 60 ways.
        let wide = zip(names.prefix(60), names.dropFirst()).map { "-A \($0) -i a -j \($1)\n-A \($0) -j \($1)\n" }
            .joined()
        #expect(reached("-A PREROUTING -j C0\n" + wide + "-A C60 -j MARK", chains: names).last == "MARK")
    }
}
