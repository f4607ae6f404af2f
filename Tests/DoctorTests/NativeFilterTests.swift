// SPDX-License-Identifier: GPL-2.0-or-later
import Testing
import Wire

@testable import Doctor
@testable import Settings

/// firewalld's table, shortened; `allowed` stands in the chain of what its zone allows.
private func firewalld(_ allowed: String) -> String {
    """
    table inet firewalld {
    \tchain nat_PREROUTING {
    \t\ttype nat hook prerouting priority dstnat + 10; policy accept;
    \t\tjump nat_PREROUTING_ZONES
    \t}
    \tchain filter_INPUT {
    \t\ttype filter hook input priority filter + 10; policy accept;
    \t\tct state { established, related } accept
    \t\tct status dnat accept
    \t\tiifname "lo" accept
    \t\tct state invalid drop
    \t\tjump filter_INPUT_ZONES
    \t\treject with icmpx admin-prohibited
    \t}
    \tchain filter_INPUT_ZONES {
    \t\tiifname "eth1" goto filter_IN_other
    \t\tgoto filter_IN_public
    \t}
    \tchain filter_IN_other {
    \t\treturn
    \t}
    \tchain filter_IN_public {
    \t\tjump filter_IN_public_allow
    \t\tmeta l4proto { icmp, ipv6-icmp } accept
    \t\treject with icmpx admin-prohibited
    \t}
    \tchain filter_IN_public_allow {
    \t\t\(allowed)
    \t}
    }
    """
}

@Suite("What nft lets in and translates") struct NativeFilterTests {
    private func examination(_ ruleset: String, _ subject: DoctorSubject = DoctorSubject(.server)) -> Examination {
        var made = MadeUpHost()
        made.say("nft -a list ruleset", ruleset)
        return made.examination(subject)
    }

    /// A chain in a table of somebody's own.
    private func chain(_ rules: String, policy: String = "drop", hook: String = "input", type: String = "filter")
        -> String
    {
        let lines = rules.split(separator: "\n").map { "\t\t\($0)\n" }.joined()
        return
            "table inet mine {\n\tchain c {\n\t\ttype \(type) hook \(hook) priority 10; policy \(policy);\n\(lines)\t}\n}\n"
    }

    @Test(
        "What drops the admitted",
        arguments: [
            ("", true), ("ct state established,related accept", true),
            ("ct state { established, related } accept", true),
            ("ct state vmap { invalid : drop, established : accept, related : accept }", true),
            ("tcp dport 22 accept", false), ("tcp dport { 22, 80 } counter packets 1 bytes 40 accept", false),
            ("tcp dport 80 accept", true), ("udp dport 22 accept", true), ("accept", false),
            ("ct state new tcp dport 22 accept", false), ("ip saddr 192.0.2.0/24 accept", false),
            ("tcp dport vmap { 22 : accept, 80 : drop }", false), ("tcp dport @ports accept", false),
            ("icmp type echo-request accept", true), ("meta l4proto { icmp, ipv6-icmp } accept", true),
            ("meta l4proto != tcp accept", true), ("meta l4proto 6 accept", false),
            ("log prefix \"accept \" counter packets 0 bytes 0", true), ("ct status dnat accept", true),
            ("jump nowhere", true), ("jump c", false),
        ])
    func policy(_ rules: String, _ drops: Bool) {
        let findings = ForeignRuleCheck.filter(examination(chain(rules)))
        #expect(findings.map(\.severity) == [drops ? .warning : .ok])
        #expect(!drops || findings.first?.cure?.hasPrefix("nft insert rule inet mine c tcp dport 22 accept;") == true)
    }

    @Test(
        "A rule that drops",
        arguments: [
            ("tcp dport 22 drop", true), ("tcp dport 22 counter packets 0 bytes 0 reject with tcp reset", true),
            ("ct state new tcp dport { 20-25 } log prefix \"no: \" drop", true), ("tcp dport != 80 drop", true),
            ("meta l4proto tcp drop", true), ("drop", true), ("ip saddr 192.0.2.1 drop", false),
            ("tcp dport 22 limit rate over 10/minute burst 5 packets drop", false), ("ct state invalid drop", false),
            ("ct state != new drop", false), ("tcp dport 22 return\ndrop", false), ("tcp flags syn drop", false),
            ("iifname \"lo\" drop", false), ("tcp dport 80 drop", false), ("tcp dport 22 comment \"drop\"", false),
        ])
    func rule(_ rules: String, _ drops: Bool) {
        for hook in ["input", "prerouting"] {
            #expect(
                ForeignRuleCheck.filter(examination(chain(rules, policy: "accept", hook: hook))).severity
                    == (drops ? .warning : .ok))
        }
        #expect(ForeignRuleCheck.filter(examination(chain(rules, policy: "accept", hook: "output"))).severity == .ok)
        #expect(ForeignRuleCheck.filter(examination(chain(rules, policy: "accept", type: "nat"))).severity == .ok)
    }

    @Test("firewalld lets in the ports of a zone, and translates none") func zones() {
        for allowed in ["tcp dport 22 accept", "tcp dport 22 ct state { new, untracked } accept"] {
            #expect(ForeignRuleCheck.filter(examination(firewalld(allowed))).map(\.severity) == [.ok])
            #expect(TranslationCheck.run(examination(firewalld(allowed))).map(\.severity) == [.ok])
        }
        let findings = ForeignRuleCheck.filter(examination(firewalld("tcp dport 80 accept")))
        #expect(findings.map(\.severity) == [.warning])
        #expect(findings.first?.cure?.hasPrefix("firewall-cmd --add-port=22/tcp") == true)
    }

    @Test(
        "Translations",
        arguments: [
            ("ct status dnat accept", false), ("tcp dport 22 dnat to 192.0.2.1:22", true),
            ("tcp dport 22 dnat ip to 192.0.2.1", true), ("tcp dport 22 redirect to :2222", true),
            ("tcp dport 22 redirect", true), ("icmp type redirect drop", false),
            ("tcp dport 80 redirect to :81", false),
            ("tcp dport 22 tproxy to :2222", true),
        ])
    func translation(_ rule: String, _ translates: Bool) {
        let found = TranslationCheck.run(examination(chain(rule, policy: "accept", hook: "prerouting")))
        #expect(found.severity == (translates ? .warning : .ok))
    }

    @Test("No advice takes back another") func natAddress() {
        var made = MadeUpHost()
        made.addresses = [InterfaceAddress("eth0", IPAddress(198, 51, 100, 7))]
        var subject = DoctorSubject(.client)
        let rules = [
            ("iptables-nft-save", "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"),
            (
                "nft -a list ruleset",
                chain("oifname \"eth0\" masquerade", policy: "accept", hook: "postrouting", type: "nat")
            ),
        ]
        for (program, text) in rules {
            var made = made
            made.say(program, text)
            subject.natAddresses = []
            #expect(TranslationCheck.run(made.examination(subject)).first?.cure?.contains("--nat-ip ADDRESS") == true)
            subject.natAddresses = [IPAddress(198, 51, 100, 7)]
            #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.ok])
            #expect(TranslationCheck.run(made.examination(subject)).map(\.severity) == [.ok])
        }
        #expect(AddressCheck.run(made.examination(subject)).map(\.severity) == [.warning], "nothing translates")
    }

    @Test("One key for two targets of one server is right") func keys() {
        var made = MadeUpHost()
        for path in ["/a", "/b"] { made.keys[path] = .good("same") }
        var subject = DoctorSubject(.client)
        subject.keyFiles = [.init(name: "192.0.2.1", path: "/a"), .init(name: "2001:db8::1", path: "/b")]
        let findings = KeyCheck.run(made.examination(subject))
        #expect(findings.map(\.severity) == [.ok, .note])
        #expect(findings.allSatisfy { $0.cure?.contains("keygen") != true })
        var server = DoctorSubject(.server)
        server.keyFiles = subject.keyFiles
        #expect(KeyCheck.run(made.examination(server)).map(\.severity) == [.ok, .error])
    }

    @Test("A name that leads past the knock") func names() throws {
        var made = MadeUpHost()
        made.say("getent hosts 192.0.2.1", "192.0.2.1       server.example.org server\n")
        var subject = DoctorSubject(.client)
        func findings(_ targets: [TargetHost]) -> [Finding] {
            subject.targets = targets
            return TargetCheck.run(made.examination(subject))
        }
        let literal = TargetHost.prefix(try #require(IPPrefix("192.0.2.1")))
        let other = TargetHost.prefix(try #require(IPPrefix("2001:db8::/64")))
        #expect(findings([]).isEmpty)
        #expect(findings([literal]).map(\.severity) == [.ok])
        made.say("getent ahostsv6 server.example.org", "::ffff:192.0.2.1 STREAM server.example.org\n")
        #expect(findings([literal]).map(\.severity) == [.ok])
        made.say("getent ahostsv6 server.example.org", "2001:db8::1     STREAM server.example.org\n")
        let found = findings([literal])
        #expect(found.map(\.severity) == [.warning])
        #expect(found.first?.found.contains("IPv6 address 2001:db8::1") == true)
        #expect(found.first?.cure?.contains("ssh -4 server.example.org") == true)
        #expect(findings([literal, other]).map(\.severity) == [.ok])
        #expect(findings([literal, .name("server.example.org")]).map(\.severity) == [.ok])
        subject.targets = [literal]
        #expect(TargetCheck.run(made.examination(DoctorSubject(.server))).isEmpty)
    }

    @Test("What the configuration declares is examined, also where nothing runs") func declared() {
        var made = MadeUpHost()
        func roles() -> [Role] {
            Discovery(Processes(made.host), made.host).installations.map(\.role)
        }
        #expect(roles() == [])
        made.statuses["/etc/tcpknock/server.toml"] = FileStatus(kind: .file, permissions: 0o600)
        #expect(roles() == [.server])
        made.refused = ["/etc/tcpknock/client.toml"]
        #expect(roles() == [.server, .client], "it is there, though this user may not look at it")
    }

    @Test("Who is locked out is asked of the daemon, and so is the end of it") func lockouts() {
        var made = MadeUpHost()
        var subject = DoctorSubject(.server)
        func findings() -> [Finding] { LockoutCheck.run(made.examination(subject)) }
        #expect(findings().isEmpty, "no daemon runs")
        made.run(77, "tcpknock-server")
        #expect(findings().first?.found.contains("no control socket") == true)
        subject.controlSocket = "/run/tcpknock/server.sock"
        #expect(findings().first?.found.contains("does not answer") == true)
        made.locks = [
            "/run/tcpknock/server.sock": .list(["192.0.2.7  for 5 s more  why"]), "/run/other": .list(["2001:db8::7"]),
            "/run/none": .list([]), "/run/no": .refused,
        ]
        #expect(findings().first?.found == "192.0.2.7 is locked out for 5 s more why")
        #expect(findings().first?.cure?.hasSuffix(": tcpknock unlock 192.0.2.7") == true)
        subject.controlSocket = "/run/other"
        #expect(findings().first?.cure?.hasSuffix(": tcpknock unlock --socket /run/other 2001:db8::7") == true)
        subject.controlSocket = "/run/none"
        #expect(findings().map(\.severity) == [.ok])
        subject.controlSocket = "/run/no"
        #expect(findings().first?.cure == "run this as root")
    }
}
