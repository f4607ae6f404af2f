// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

@Suite("What leads past the knock") struct BypassTests {
    /// Rules of a server, with others before or behind ours.
    private func bypasses(mangle: String = "", raw: String = "", instance: String? = nil) -> [String] {
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
        return Bypass.all(Firewall(made.host), DoctorSubject(.server, instance: instance)).map {
            "\($0.port) \($0.yields) \($0.rule)"
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
}
