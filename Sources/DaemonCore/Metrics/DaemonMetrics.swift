// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import KnockEngine
internal import Netfilter
internal import Program

/// The metrics of a daemon, derived from its status.
package enum DaemonMetrics {
    /// Returns the metric families of a report.
    ///
    /// Their names begin with `tcpknock_`.
    package static func families(_ report: StatusReport) -> [MetricFamily] {
        let program = MetricFamily.Label("program", report.program)
        var families = [
            MetricFamily(
                "tcpknock_info", "The daemon and its version.", .gauge,
                [.init(.integer(1), [program, .init("version", version)])]),
            MetricFamily(
                "tcpknock_uptime_seconds", "How long the daemon has been running.", .gauge,
                [.init(.integer(report.started.seconds(until: report.now)), [program])]),
            MetricFamily(
                "tcpknock_packets_total", "Packets by the reason of their verdict.", .counter,
                Reason.allCases.map { reason in
                    .init(.integer(report.counters[reason]), [program, .init("reason", reason.name)])
                }),
            MetricFamily(
                "tcpknock_handshakes", "Handshakes that the daemon remembers.", .gauge,
                [.init(.integer(UInt64(report.handshakes)), [program])]),
            MetricFamily(
                "tcpknock_connections", "Open connections by \(report.partyLabel).", .gauge, connections(report)),
        ]
        families += queues(report)
        if let lockedOut = report.lockedOut {
            families.append(
                MetricFamily(
                    "tcpknock_locked_out_addresses", "Addresses that are locked out.", .gauge,
                    [.init(.integer(UInt64(lockedOut)), [program])]))
        }
        if let codes = report.usedCodes {
            families.append(
                MetricFamily(
                    "tcpknock_used_codes", "Used codes that the daemon remembers.", .gauge,
                    [.init(.integer(UInt64(codes.taken)), [program])]))
            families.append(
                MetricFamily(
                    "tcpknock_used_codes_capacity", "How many used codes the daemon has room for.", .gauge,
                    [.init(.integer(UInt64(codes.capacity)), [program])]))
        }
        if let ports = report.protection?.unprotectedPorts {
            families.append(
                MetricFamily(
                    "tcpknock_unprotected_ports", "Ports to protect that do not have all of their firewall rules.",
                    .gauge,
                    [.init(.integer(UInt64(ports.count)), [program])]))
        }
        if let lost = report.rulesLost {
            families.append(
                MetricFamily(
                    "tcpknock_rules_lost_total", "How often firewall rules were lost that nobody took down.", .counter,
                    [.init(.integer(lost), [program])]))
        }
        if let filter = report.kernelFilter {
            families.append(
                MetricFamily(
                    "tcpknock_kernel_filter_syns_total", "SYNs that the program in the kernel judged.", .counter,
                    [
                        .init(.integer(filter.wrong), [.init("answer", "dropped")]),
                        .init(.integer(filter.passed), [.init("answer", "passed")]),
                    ]))
        }
        return families
    }

    private static func connections(_ report: StatusReport) -> [MetricFamily.Sample] {
        var counts: [String: UInt64] = [:]
        for party in report.parties { counts[party.name] = 0 }
        for connection in report.connections { counts[connection.party ?? "", default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { name, count in
            .init(
                .integer(count), [.init("program", report.program), .init(report.partyLabel, name)])
        }
    }

    private static func queues(_ report: StatusReport) -> [MetricFamily] {
        func samples(_ value: (QueueStatistics) -> UInt32) -> [MetricFamily.Sample] {
            report.queues.map { .init(.integer(UInt64(value($0))), [.init("queue", "\($0.number)")]) }
        }
        return [
            MetricFamily(
                "tcpknock_queue_waiting_packets", "Packets that wait for a verdict.", .gauge, samples(\.waiting)),
            MetricFamily(
                "tcpknock_queue_lost_packets_total",
                "Packets that found the queue or its buffer full, and got no verdict.", .counter,
                samples { $0.droppedInQueue &+ $0.droppedOnTheWay }),
        ]
    }
}
