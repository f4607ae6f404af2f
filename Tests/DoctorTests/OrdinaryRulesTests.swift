// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

/// Rules as widespread programs make them, shortened: none of them is in the way.
private let ordinary: [(program: String, rules: String)] = [
    (
        "ufw",
        """
        *filter
        :INPUT DROP [0:0]
        :FORWARD DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        :ufw-before-input - [0:0]
        :ufw-not-local - [0:0]
        :ufw-user-input - [0:0]
        :ufw-user-limit - [0:0]
        :ufw-user-limit-accept - [0:0]
        :ufw-logging-deny - [0:0]
        -A INPUT -j ufw-before-input
        -A ufw-before-input -i lo -j ACCEPT
        -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
        -A ufw-before-input -m conntrack --ctstate INVALID -j DROP
        -A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
        -A ufw-before-input -j ufw-not-local
        -A ufw-before-input -j ufw-user-input
        -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
        -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
        -A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
        -A ufw-not-local -j DROP
        -A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --rsource
        -A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 --name DEFAULT --rsource -j ufw-user-limit
        -A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
        -A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
        -A ufw-user-limit-accept -j ACCEPT
        COMMIT
        """
    ),
    (
        "Docker",
        """
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [0:0]
        :DOCKER - [0:0]
        -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A FORWARD -o docker0 -j DOCKER
        -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        COMMIT
        *nat
        :PREROUTING ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        :DOCKER - [0:0]
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
        -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
        -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
        -A DOCKER -i docker0 -j RETURN
        -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
        COMMIT
        """
    ),
    (
        "kube-proxy",
        """
        *nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        :KUBE-SERVICES - [0:0]
        :KUBE-SVC-A - [0:0]
        :KUBE-SEP-A - [0:0]
        :KUBE-MARK-MASQ - [0:0]
        :KUBE-POSTROUTING - [0:0]
        -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
        -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-A
        -A KUBE-SVC-A ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ
        -A KUBE-SVC-A -j KUBE-SEP-A
        -A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 172.18.0.2:6443
        -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
        -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
        -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
        -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
        COMMIT
        """
    ),
    (
        "wg-quick",
        """
        *raw
        :PREROUTING ACCEPT [0:0]
        -A PREROUTING -d 10.8.0.2/32 ! -i wg0 -m addrtype ! --src-type LOCAL -m comment --comment "wg-quick(8) rule for wg0" -j DROP
        COMMIT
        *mangle
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        -A PREROUTING -p udp -m comment --comment "wg-quick(8) rule for wg0" -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
        -A POSTROUTING -p udp -m mark --mark 0xca6c -m comment --comment "wg-quick(8) rule for wg0" -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
        COMMIT
        """
    ),
    (
        "Tailscale",
        """
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD ACCEPT [0:0]
        :ts-input - [0:0]
        :ts-forward - [0:0]
        -A INPUT -j ts-input
        -A FORWARD -j ts-forward
        -A ts-input -s 100.64.0.7/32 -i lo -j ACCEPT
        -A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
        -A ts-input -i tailscale0 -j ACCEPT
        -A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
        -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
        COMMIT
        """
    ),
    (
        "fail2ban",
        """
        *filter
        :INPUT ACCEPT [0:0]
        :f2b-sshd - [0:0]
        -A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
        -A f2b-sshd -s 192.0.2.66/32 -j REJECT --reject-with icmp-port-unreachable
        -A f2b-sshd -j RETURN
        COMMIT
        """
    ),
    (
        "libvirt",
        """
        *mangle
        :POSTROUTING ACCEPT [0:0]
        :LIBVIRT_PRT - [0:0]
        -A POSTROUTING -j LIBVIRT_PRT
        -A LIBVIRT_PRT -o virbr0 -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill
        COMMIT
        """
    ),
]

@Suite("Rules of others that are in nobody's way") struct OrdinaryRulesTests {
    @Test(arguments: Role.allCases, ordinary.indices)
    func nothingToFind(_ role: Role, _ index: Int) {
        var made = MadeUpHost()
        for program in ["iptables-nft-save", "ip6tables-nft-save"] {
            made.say(program, withOurs(ordinary[index].rules, role))
        }
        let examination = made.examination(DoctorSubject(role))
        #expect(examination.firewall.unread.isEmpty)
        for check in [
            ForeignRuleCheck.order, ForeignRuleCheck.filter, ForeignRuleCheck.queue, BackendCheck.run, MarkCheck.run,
            TrackingCheck.run, TranslationCheck.run,
        ] as [@Sendable (Examination) -> [Finding]] {
            for finding in check(examination) {
                #expect(finding.severity <= .note, "\(ordinary[index].program)")
            }
        }
    }

    /// Puts our jumps behind the rules of others; what they lead to does not matter here.
    private func withOurs(_ rules: String, _ role: Role) -> String {
        let (chains, jumps) =
            role == .server
            ? (
                ":TCPKNOCK-SRV-IN - [0:0]\n:TCPKNOCK-SRV-OUT - [0:0]\n",
                "-A PREROUTING -p tcp -m tcp --dport 22 -j TCPKNOCK-SRV-IN\n"
                    + "-A POSTROUTING -p tcp -m tcp --sport 22 -j TCPKNOCK-SRV-OUT\n"
            )
            : (":TCPKNOCK-CLI-OUT - [0:0]\n", "-A POSTROUTING -p tcp -m tcp --dport 22 -j TCPKNOCK-CLI-OUT\n")
        var lines = rules.split(separator: "\n").map { "\($0)\n" }
        let start = lines.firstIndex(of: "*mangle\n") ?? lines.endIndex
        if start == lines.endIndex { lines += ["*mangle\n", "COMMIT\n"] }
        let end = lines[start...].firstIndex(of: "COMMIT\n") ?? lines.endIndex
        lines.insert(chains + jumps, at: end)
        return lines.joined()
    }

    @Test("Our jumps are seen behind theirs") func behind() {
        var made = MadeUpHost()
        made.say(
            "iptables-nft-save",
            withOurs("*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n", .server))
        #expect(ForeignRuleCheck.order(made.examination()).map(\.severity) == [.error])
    }

    @Test("iptables under its plain name alone") func plainName() {
        var made = MadeUpHost()
        made.say("iptables-save", "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j REDIRECT --to-ports 1\nCOMMIT\n")
        let examination = made.examination()
        #expect(TranslationCheck.run(examination).first?.cure?.contains("iptables -t nat -D PREROUTING") == true)
    }

    @Test("A table that only nft can show is looked at there") func native() {
        var made = MadeUpHost()
        made.say("iptables-nft-save", "# Table `mine' is incompatible, use 'nft' tool.\n*raw\nCOMMIT\n")
        made.say("ip6tables-nft-save", "")
        let rule = "chain c {\n\t\ttcp dport 22 notrack\n\t}\n}\n"
        made.say("nft -a list ruleset", "table ip mine {\n\t\(rule)table ip raw {\n\t\(rule)table ip6 raw {\n\t\(rule)")
        let findings = TrackingCheck.run(made.examination()).filter { $0.severity == .error }
        #expect(
            findings.map { String($0.found.split(separator: "nft table ").last?.prefix(7) ?? "") } == [
                "ip mine", "ip6 raw",
            ])
    }
}
