// SPDX-License-Identifier: GPL-2.0-or-later
import Control
import Testing

@testable import Doctor

@Suite("Walks along rules") struct RuleWalkTests {
    /// The targets for untracked packets that packets to port 22 come to, with a question mark where not all do.
    ///
    /// Those that all come to are first.
    private func reached(_ rules: String, chains: [String] = ["A", "B"]) -> [String] {
        var made = MadeUpHost()
        let own = chains.map { ":\($0) - [0:0]\n" }.joined()
        made.say("iptables-nft-save", "*raw\n:PREROUTING ACCEPT [0:0]\n\(own)\(rules)\nCOMMIT\n")
        return made.foreignRules().filter { $0.effect == .tracking }.map { rule in
            let target = rule.rule.contains("NOTRACK") ? "NOTRACK" : "CT"
            return target + (rule.severity == "warning" ? "?" : "")
        }
    }

    @Test func chains() {
        #expect(reached("-A PREROUTING -j A\n-A A -j NOTRACK\n-A PREROUTING -j CT --notrack") == ["NOTRACK", "CT"])
        #expect(reached("-A PREROUTING -s 192.0.2.1/32 -j A\n-A A -j NOTRACK") == ["NOTRACK?"])
        #expect(
            reached("-A PREROUTING -p tcp -m tcp --dport 80 -j A\n-A A -p tcp -m tcp --sport 80 -j NOTRACK").isEmpty)
        #expect(reached("-A B -j NOTRACK").isEmpty, "nothing leads there")
    }

    @Test("What decides ends the walk") func final() {
        #expect(reached("-A PREROUTING -j ACCEPT\n-A PREROUTING -j NOTRACK") == [])
        #expect(reached("-A PREROUTING -i eth0 -j ACCEPT\n-A PREROUTING -j NOTRACK") == ["NOTRACK"])
        #expect(reached("-A PREROUTING -j A\n-A A -j DROP\n-A PREROUTING -j NOTRACK") == [])
        #expect(reached("-A PREROUTING -i eth0 -j A\n-A A -j DROP\n-A PREROUTING -j NOTRACK") == ["NOTRACK"])
    }

    @Test("RETURN leaves a chain") func returns() {
        #expect(reached("-A PREROUTING -j A\n-A A -j RETURN\n-A A -j NOTRACK\n-A PREROUTING -j CT --notrack") == ["CT"])
        #expect(
            reached(
                "-A PREROUTING -j A\n-A A -m addrtype --dst-type LOCAL -j RETURN\n-A A -j NOTRACK\n-A A -j DROP\n"
                    + "-A PREROUTING -j CT --notrack") == ["CT", "NOTRACK?"])
    }

    @Test("A goto does not come back") func goto() {
        #expect(reached("-A PREROUTING -g A\n-A A -j NOTRACK\n-A PREROUTING -j CT --notrack") == ["NOTRACK"])
        #expect(
            reached("-A PREROUTING -i eth0 -g A\n-A A -j NOTRACK\n-A PREROUTING -j CT --notrack") == ["CT", "NOTRACK?"])
    }

    @Test("Loops, which the kernel would refuse, and depth") func loops() {
        #expect(reached("-A PREROUTING -j A\n-A A -j B\n-A B -j A\n-A B -j NOTRACK") == ["NOTRACK"])
        #expect(reached("-A PREROUTING -j PREROUTING\n-A PREROUTING -j NOTRACK").contains("NOTRACK"))
        let names = (0..<500).map { "C\($0)" }
        let deep = zip(names, names.dropFirst()).map { "-A \($0) -j \($1)\n" }.joined()
        #expect(reached("-A PREROUTING -j C0\n" + deep + "-A C499 -j NOTRACK", chains: names) == ["NOTRACK"])
        // Each chain leads twice to the next: 2 to the power of 60 ways.
        let wide = zip(names.prefix(60), names.dropFirst()).map { "-A \($0) -i a -j \($1)\n-A \($0) -j \($1)\n" }
            .joined()
        #expect(reached("-A PREROUTING -j C0\n" + wide + "-A C60 -j NOTRACK", chains: names) == ["NOTRACK"])
    }
}
