// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import TestSupport
import Testing

@testable import Netfilter

/// In network namespaces of processes of their own, where nft(8) and iptables(8) change rules.
@Suite(
    "Changes of rules", .enabled(if: NetworkNamespace.obstacle == nil && system("nft --version >/dev/null 2>&1") == 0))
struct RuleChangesTests {
    @Test("Who changes rules is heard, but not in tables that do not matter")
    func heard() async {
        await #expect(processExitsWith: .success) {
            NetworkNamespace.enterNew()
            let changes = try RuleChanges(ignoring: ["nat", "filter"])
            #expect(try !changes.receive())
            func isHeard(_ command: String) throws -> Bool {
                NetworkNamespace.run(command)
                return try changes.receive()
            }
            #expect(try isHeard("iptables-nft -t mangle -A INPUT -j ACCEPT"))
            #expect(try !changes.receive())
            #expect(try isHeard("ip6tables-nft -t raw -A PREROUTING -j ACCEPT"))
            #expect(try isHeard("iptables-nft -t mangle -D INPUT -j ACCEPT"))
            #expect(try isHeard("nft add table ip other"))
            #expect(try isHeard("nft add table inet filter"))
            #expect(try !isHeard("iptables-nft -t filter -A INPUT -j ACCEPT"))
            #expect(try !isHeard("nft add set ip mangle s '{ type ipv4_addr; }'"))
            #expect(try !isHeard("nft add element ip mangle s '{ 192.0.2.1 }'"))
            #expect(try isHeard("nft flush ruleset"))
            #expect(try !isHeard("iptables-nft-save -t mangle >/dev/null"))
        }
    }

    @Test("What is lost counts as a change") func overflow() async {
        await #expect(processExitsWith: .success) {
            NetworkNamespace.enterNew()
            let changes = try RuleChanges(ignoring: ["other"])
            // More than the receive buffer holds.
            NetworkNamespace.run(
                """
                { echo add table ip other; echo add chain ip other c; for i in $(seq 20000); do
                echo add rule ip other c ip saddr 192.0.2.1 drop; done; } | nft -f -
                """)
            #expect(try changes.receive())
        }
    }
}
