// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Doctor

@Suite("The ways that packets take") struct RoutingCheckTests {
    /// A host with default routes by these interfaces (proc_net_route: interface, destination, ..., mask), and the
    /// strictness of the reverse path filter of each.
    private func host(_ filters: [String: String], all: String = "0", routes: [String]) -> MadeUpHost {
        var made = MadeUpHost()
        let folder = "/proc/sys/net/ipv4/conf"
        made.folders[folder] = ["all", "default", "lo"] + filters.keys.sorted()
        made.files["\(folder)/all/rp_filter"] = all + "\n"
        for (name, value) in filters { made.files["\(folder)/\(name)/rp_filter"] = value + "\n" }
        let lines = routes.map { "\($0)\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" }
        made.files["/proc/net/route"] =
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n" + lines.joined()
            + "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        return made
    }

    @Test("One way out is as it should be, however strict the filter") func oneWay() {
        let findings = RoutingCheck.run(host(["eth0": "1", "eth1": "1"], routes: ["eth0", "eth0"]).examination())
        #expect(findings.map(\.severity) == [.ok])
    }

    @Test("Two ways out: a note, and a warning where the filter drops what comes in by the other")
    func twoWays() throws {
        let routes = ["eth0", "eth1"]
        let loose = RoutingCheck.run(host(["eth0": "0", "eth1": "2"], routes: routes).examination())
        #expect(loose.map(\.severity) == [.note])
        #expect(loose.first?.found.contains("by eth0 and eth1") == true)
        let strict = RoutingCheck.run(host(["eth0": "0", "eth1": "1"], routes: routes).examination())
        #expect(strict.map(\.severity) == [.warning])
        #expect(
            strict.first?.cure
                == "sysctl -w net.ipv4.conf.all.rp_filter=2; sysctl -w net.ipv4.conf.eth1.rp_filter=2")
        // The greater of both values holds.
        let both = RoutingCheck.run(host(["eth0": "0", "eth1": "2"], all: "1", routes: routes).examination())
        #expect(both.first?.found.contains("is on for eth0:") == true)
        // Strict where no default route leads to is no matter.
        let elsewhere = RoutingCheck.run(
            host(["eth0": "0", "eth1": "0", "eth2": "1"], routes: routes).examination())
        #expect(elsewhere.map(\.severity) == [.note])
    }

    @Test("SYN cookies matter to a server") func cookies() {
        var made = host(["eth0": "0"], routes: ["eth0"])
        made.files["/proc/sys/net/ipv4/tcp_syncookies"] = "0\n"
        let findings = RoutingCheck.run(made.examination())
        #expect(findings.map(\.severity) == [.note])
        #expect(findings.first?.cure == "sysctl -w net.ipv4.tcp_syncookies=1")
        #expect(RoutingCheck.run(made.examination(DoctorSubject(.client))).map(\.severity) == [.ok])
        made.files["/proc/sys/net/ipv4/tcp_syncookies"] = "1\n"
        made.files["/proc/sys/net/ipv6/conf/all/forwarding"] = "1\n"
        let forwarding = RoutingCheck.run(made.examination())
        #expect(forwarding.map(\.severity) == [.ok])
        #expect(forwarding.first?.found.contains("forwards packets of others") == true)
    }
}
