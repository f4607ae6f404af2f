// SPDX-License-Identifier: GPL-2.0-or-later
import Testing
import Wire

@testable import Doctor
@testable import Settings

@Suite("Whose ports are protected, and who is exempt") struct ScopeCheckTests {
    private func host(forwards: Bool = false) -> MadeUpHost {
        var made = MadeUpHost()
        made.folders["/sys/class/net"] = ["lo", "eth0", "eth1", "wg0"]
        made.addresses = [InterfaceAddress("eth0", IPAddress(192, 0, 2, 1))]
        made.files["/proc/net/if_inet6"] = ""
        made.files["/proc/net/route"] =
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
            + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        let zeros = String(repeating: "0", count: 32)
        made.files["/proc/net/ipv6_route"] =
            "\(zeros) 00 \(zeros) 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n"
            + "\(zeros) 00 \(zeros) 00 \(zeros) ffffffff 00000001 00000000 00200200       lo\n"
        if forwards { made.files["/proc/sys/net/ipv4/ip_forward"] = "1\n" }
        return made
    }

    private func findings(
        protect: [String] = ["own"], exempt: [String] = [], forwards: Bool = false
    ) -> [Finding] {
        var subject = DoctorSubject(.server)
        subject.protect = protect.compactMap { Place($0) }
        subject.exempt = exempt.compactMap { Place($0) }
        return ScopeCheck.run(host(forwards: forwards).examination(subject))
    }

    @Test(
        "What is as it should be",
        arguments: [
            (["own"], []),
            (["own"], ["192.168.0.0/16", "2001:db8::/32", "198.51.100.0/24", "10.0.0.0/8", "interface:wg0"]),
            (["192.0.2.0/24", "interface:eth0"], []),
        ] as [([String], [String])])
    func good(_ protect: [String], _ exempt: [String]) {
        #expect(findings(protect: protect, exempt: exempt).map(\.severity) == [.ok])
    }

    @Test(
        "An exemption that is open to the world",
        arguments: [
            "0.0.0.0/0", "::/0", "0.0.0.0/1", "8.0.0.0/7", "11.0.0.0/8", "2000::/3", "2a00::/12", "fc00::/6",
            "interface:eth0", "interface:eth1",
        ])
    func world(_ whom: String) {
        #expect(findings(exempt: [whom]).map(\.severity) == [.warning])
    }

    @Test("An interface that is not there") func noInterface() {
        #expect(findings(protect: ["own", "interface:eth7"]).map(\.severity) == [.warning])
        #expect(findings(exempt: ["interface:eth7"]).map(\.severity) == [.note])
    }

    @Test("A family of which nothing is protected") func family() {
        let found = findings(protect: ["192.0.2.0/24"])
        #expect(found.map(\.severity) == [.warning])
        #expect(found.first?.found.contains("over IPv6") == true)
    }

    @Test("A gateway that forwards nothing") func gateway() {
        #expect(findings(protect: ["own", "10.0.0.0/24"]).map(\.severity) == [.note])
        #expect(findings(protect: ["own", "10.0.0.0/24"], forwards: true).map(\.severity) == [.ok])
    }

    @Test("A client has neither") func client() {
        #expect(ScopeCheck.run(host().examination(DoctorSubject(.client))).isEmpty)
    }
}
