// SPDX-License-Identifier: GPL-2.0-or-later
import Foundation
import JSONText
import KnockEngine
import Testing
import Wire

@testable import Control
@testable import DaemonCore
@testable import Netfilter
@testable import Program

@Suite("How a daemon is doing") struct StatusReportTests {
    private static let begin = Instant(unixSeconds: 1_800_000_000, uptime: 5_000)

    private static func flow(_ port: UInt16) -> Flow {
        Flow(
            clientAddress: IPAddress(192, 0, 2, 1), clientPort: port, serverAddress: IPAddress(198, 51, 100, 2),
            serverPort: 22)
    }

    /// Of a server with a filter in the kernel and two connections, one of them from before the daemon.
    private static var report: StatusReport { report(.looked([:], cure: "server.sh up")) }

    private static func report(_ knowledge: Protection.Knowledge) -> StatusReport {
        StatusReport(
            program: "tcpknock-server", partyLabel: "guest", started: begin,
            now: Instant(unixSeconds: 1_800_003_725, uptime: 3_730_000),
            queues: [QueueStatistics("100 77 3 2 512 1 2 40 1")].compactMap(\.self),
            counters: Counters(),
            handshakes: 4,
            parties: [StatusReport.Party(name: "alice", scope: "to port 22")],
            connections: [
                StatusReport.Connection(
                    party: "alice", flow: flow(40_000),
                    connection: OpenConnection(
                        key: KeyID(1), since: Instant(unixSeconds: 1_800_003_665, uptime: 3_670_000)),
                    bytes: ByteCount(received: 100, sent: 2000)),
                StatusReport.Connection(
                    party: nil, flow: flow(40_001), connection: OpenConnection(key: nil, since: begin), bytes: nil),
            ],
            unrecorded: 5, lockedOut: 2, usedCodes: (taken: 11, capacity: 12), kernelFilter: (wrong: 70, passed: 8),
            places: (protected: ["own", "10.0.0.0/24"], exempt: ["interface:wg0"]),
            protection: Protection(ports: [22, 443, 80], knowledge: knowledge), rulesLost: 3)
    }

    @Test func text() {
        #expect(
            Self.report.text == """
                PROTECTED: ports 22, 443, 80
                tcpknock-server \(version), up 1 h 2 min
                queue 100: 3 waiting, 40 so far, 3 lost
                handshakes remembered: 4
                protects: own, 10.0.0.0/24
                exempt: interface:wg0
                locked out: 2
                used codes remembered: 11, room for 12
                kernel filter: 70 SYNs dropped, 8 passed on
                guests:
                  alice  to port 22
                connections: 2
                  alice      192.0.2.1:40000 > 198.51.100.2:22  1 min 0 s              100 bytes in, 2000 out
                  (unknown)  192.0.2.1:40001 > 198.51.100.2:22  longer than 1 h 2 min  bytes not counted
                  and 5 more that there was no room to write down
                packets by reason:

                """)
    }

    @Test func json() throws {
        let object = try JSONSerialization.jsonObject(with: Data(Self.report.json.text.utf8))
        let members = try #require(object as? [String: Any])
        #expect(members["uptimeSeconds"] as? Int == 3725 && members["unrecordedConnections"] as? Int == 5)
        #expect(members["kernelFilter"] as? [String: Int] == ["dropped": 70, "passed": 8])
        #expect(members["protect"] as? [String] == ["own", "10.0.0.0/24"])
        #expect(members["exempt"] as? [String] == ["interface:wg0"])
        #expect(members["usedCodes"] as? [String: Int] == ["taken": 11, "capacity": 12])
        let connections = try #require(members["connections"] as? [[String: Any]])
        #expect(connections.map { $0["bytesSent"] as? Int } == [2000, nil])
        #expect(connections.map { $0["guest"] as? String } == ["alice", nil])
        #expect(connections.map { $0["seconds"] as? Int } == [60, 3725])
    }

    @Test(
        "What is closed although its rules are not right",
        arguments: [
            (
                [22: .missing], [22, 443],
                "CLOSED: port 22: there are no rules for it; the kernel filter lets nobody in; run up", [22]
            ),
            (
                [22: .missing, 80: .missing], [22],
                "NOT PROTECTED: ports 22, 80: there are no rules for them; the kernel filter lets nobody in to port 22; run up",
                [22]
            ),
            ([22: .incomplete], [22], "NOT PROTECTED: port 22: some rules are missing or were changed; run up", []),
            (
                [22: .bypassed("-j ACCEPT", yields: true)], [22],
                "CLOSED: port 22: a rule of another program leads past the knock (-j ACCEPT); the kernel filter lets nobody in; "
                    + "run up", [22]
            ),
            (
                [22: .bypassed("-j MARK --set", yields: false)], [22],
                "NOT PROTECTED: port 22: a rule of another program leads past the knock (-j MARK --set); "
                    + "'tcpknock doctor' says how to take that rule out", []
            ),
            (
                [22: .bypassed("r", yields: false), 443: .elsewhere], [],
                "NOT PROTECTED: port 22: a rule of another program leads past the knock (r); port 443: the rules have "
                    + "another 'protect' or 'exempt'; run up; 'tcpknock doctor' says how to take that rule out", []
            ),
        ] as [([UInt16: Protection.Fault], Set<UInt16>, String, [UInt16])])
    func closed(_ faults: [UInt16: Protection.Fault], _ gate: Set<UInt16>, _ line: String, _ closed: [UInt16]) {
        let protection = Protection(ports: [22, 80, 443], knowledge: .looked(faults, cure: "up"), gate: gate)
        #expect(protection.line == line)
        #expect(protection.closedPorts == closed && protection.isProtected == false)
        #expect(protection.unprotectedPorts == faults.keys.sorted())
    }

    @Test(
        "The first line of a server",
        arguments: [
            ([:], "PROTECTED: ports 22, 443, 80", true, []),
            (
                [443: .missing], "NOT PROTECTED: port 443: there are no rules for it; run server.sh up", false, [443]
            ),
            (
                [443: .missing, 22: .missing, 80: .incomplete],
                "NOT PROTECTED: ports 22, 443: there are no rules for them; port 80: some rules are missing or were "
                    + "changed; run server.sh up", false, [22, 80, 443]
            ),
            (
                [22: .elsewhere],
                "NOT PROTECTED: port 22: the rules have another 'protect' or 'exempt'; run server.sh up", false, [22]
            ),
        ] as [([UInt16: Protection.Fault], String, Bool, [Int])])
    func protection(_ faults: [UInt16: Protection.Fault], _ line: String, _ isProtected: Bool, _ ports: [Int]) throws {
        let report = Self.report(.looked(faults, cure: "server.sh up"))
        #expect(report.text.split(separator: "\n").first.map(String.init) == line)
        let object = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let members = try #require(object as? [String: Any])
        #expect(members["protected"] as? Bool == isProtected)
        #expect(members["unprotected_ports"] as? [Int] == ports)
        #expect(members["protection"] as? String == line)
        let metrics = MetricsText.text(DaemonMetrics.families(report))
        #expect(metrics.contains("tcpknock_unprotected_ports{program=\"tcpknock-server\"} \(ports.count)\n"))
        #expect(metrics.contains("tcpknock_rules_lost_total{program=\"tcpknock-server\"} 3\n"))
    }

    @Test("Where nobody looks, nothing is claimed") func notKnown() throws {
        let report = Self.report(.unknown("nobody looks"))
        #expect(report.text.hasPrefix("NOT KNOWN whether protected: nobody looks\ntcpknock-server "))
        let object = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let members = try #require(object as? [String: Any])
        #expect(members["protected"] is NSNull && members["unprotected_ports"] is NSNull)
        #expect(!MetricsText.text(DaemonMetrics.families(report)).contains("tcpknock_unprotected_ports"))
    }

    @Test func metrics() {
        let lines = MetricsText.text(DaemonMetrics.families(Self.report)).split(separator: "\n").map(String.init)
        for line in [
            #"tcpknock_kernel_filter_syns_total{answer="dropped"} 70"#,
            #"tcpknock_kernel_filter_syns_total{answer="passed"} 8"#, #"tcpknock_queue_waiting_packets{queue="100"} 3"#,
            #"tcpknock_queue_lost_packets_total{queue="100"} 3"#,
            #"tcpknock_used_codes{program="tcpknock-server"} 11"#,
            #"tcpknock_used_codes_capacity{program="tcpknock-server"} 12"#,
            #"tcpknock_locked_out_addresses{program="tcpknock-server"} 2"#,
            #"tcpknock_connections{program="tcpknock-server",guest="alice"} 1"#,
            #"tcpknock_connections{program="tcpknock-server",guest=""} 1"#,
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }
}
