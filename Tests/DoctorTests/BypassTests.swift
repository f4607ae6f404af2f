// SPDX-License-Identifier: GPL-2.0-or-later
import Control
import Testing

@testable import Doctor

@Suite("What leads past the knock") struct BypassTests {
    /// Rules of a server, with others before or behind ours.
    private func bypasses(
        mangle: String = "", raw: String = "", native: String = "", instance: String? = nil
    ) -> [String] {
        let own = instance.map { "TCPKNOCK-\($0)_" } ?? "TCPKNOCK-SRV"
        var made = MadeUpHost()
        made.say(
            "iptables-nft-save",
            """
            *mangle
            :PREROUTING ACCEPT
            :OTHER -
            :\(own)-IN -
            -A OTHER -p tcp -j ACCEPT
            \(mangle)
            -A PREROUTING -p tcp -m tcp --dport 22 -j \(own)-IN
            -A PREROUTING -j ACCEPT
            COMMIT
            *raw
            :PREROUTING ACCEPT
            :\(own)-UNMARK -
            -A PREROUTING -j MARK --set-xmark 0x1000/0x1000
            -A PREROUTING -p tcp -m tcp --dport 22 -m mark --mark 0x1000/0x1000 -j \(own)-UNMARK
            \(raw)
            COMMIT

            """)
        made.say("nft -a list ruleset", native)
        return made.foreignRules(DoctorSubject(.server, instance: instance)).filter { $0.effect == .bypass }.map {
            "\($0.port ?? 0) \($0.yields) \($0.rule)"
        }
    }

    @Test(
        "Rules before ours in the mangle table",
        arguments: [
            ("-p tcp -m tcp --dport 22 -j ACCEPT", true), ("-s 192.0.2.7/32 -j ACCEPT", true), ("-j RETURN", true),
            ("-p tcp -j NFQUEUE --queue-num 7", true), ("-p tcp -j CONNMARK --set-xmark 0x1000/0x1000", true),
            ("-i eth0 -j MARK --set-xmark 0x1000/0xffffffff", true), ("-j TCPKNOCK-web_-IN", false),
            ("-p tcp -m tcp --dport 22 -j DROP", false), ("-p udp -j ACCEPT", false), ("-i lo -j ACCEPT", false),
            ("-p tcp -m tcp --dport 443 -j ACCEPT", false), ("-j MARK --set-xmark 0x1/0x1", false),
            ("-j CONNMARK --save-mark", false), ("-j LOG", false),
        ])
    func before(_ rule: String, _ isPast: Bool) {
        let line = "-A PREROUTING \(rule)"
        #expect(bypasses(mangle: line) == (isPast ? ["22 true iptables-nft -t mangle: \(line)"] : []))
    }

    @Test("Chains, other servers, and what is behind ours in the raw table") func elsewhere() {
        #expect(bypasses() == [])
        #expect(
            bypasses(mangle: "-A PREROUTING -j OTHER") == ["22 true iptables-nft -t mangle: -A OTHER -p tcp -j ACCEPT"])
        #expect(bypasses(mangle: "-A PREROUTING -p tcp -j ACCEPT", instance: "web").count == 1)
        #expect(bypasses(raw: "-A PREROUTING -j ACCEPT") == [])
        let mark = "-A PREROUTING -p tcp -j MARK --set-xmark 0x1000/0x1000"
        #expect(bypasses(raw: mark) == ["22 false iptables-nft -t raw: \(mark)"])
    }

    @Test(
        "Rules of nft between our hook in the raw table and those in the mangle table",
        arguments: [
            ("prerouting priority raw + 10", "tcp dport 22 meta mark set 0x1000", true),
            ("prerouting priority -300", "meta mark set meta mark | 0x00001000", true),
            ("prerouting priority mangle", "counter packets 0 bytes 0 meta mark set 0x1001", true),
            ("prerouting priority -310", "tcp dport 22 meta mark set 0x1000", false),
            ("prerouting priority mangle + 1", "tcp dport 22 meta mark set 0x1000", false),
            ("prerouting priority -250", "tcp dport 443 meta mark set 0x1000", false),
            ("prerouting priority -250", "meta mark set 0x1", false),
            ("prerouting priority -250", "meta mark set meta mark & 0xffffefff", false),
            ("prerouting priority -250", "ct mark set 0x1000", false),
            ("prerouting priority -180", "ct mark set 0x1000", true),
            ("prerouting priority -180", "jump d", true), ("input priority -180", "meta mark set 0x1000", false),
        ])
    func native(_ hook: String, _ rule: String, _ isPast: Bool) {
        let table =
            "table inet t {\n\tchain c {\n\t\ttype filter hook \(hook); policy accept;\n\t\t\(rule) # handle 7\n\t}\n"
            + "\tchain d {\n\t\tip saddr 192.0.2.7 ct mark set ct mark or 0x1000\n\t}\n}\n"
        let found = rule == "jump d" ? "d: ip saddr 192.0.2.7 ct mark set ct mark or 0x1000" : "c: \(rule)"
        #expect(bypasses(native: table) == (isPast ? ["22 false nft table inet t, chain \(found)"] : []))
    }
}
