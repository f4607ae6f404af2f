// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// What all checks of one role look at.
package struct Examination {
    /// The host.
    package let host: Host
    /// All firewall rules on it, read once.
    package let firewall: Firewall
    /// Its processes, read once.
    package let processes: Processes
    /// What the installation is meant to be.
    package let subject: DoctorSubject

    /// Joins what was read of a host with what is meant to be.
    package init(host: Host, firewall: Firewall, processes: Processes, subject: DoctorSubject) {
        self.host = host
        self.firewall = firewall
        self.processes = processes
        self.subject = subject
    }

    /// All checks, in the order in which a person would look.
    private static let checks: [@Sendable (Examination) -> [Finding]] = [
        KernelFeatureCheck.run, KeyCheck.run, FileCheck.run, DaemonCheck.run, QueueCheck.run, RuleCheck.run,
        RuleOrderCheck.run, FilterCheck.run, BackendCheck.run, ForeignQueueCheck.run, MarkCheck.run, TrackingCheck.run,
        TranslationCheck.run, ScopeCheck.run, ServiceCheck.run, AddressCheck.run, TargetCheck.run, RoutingCheck.run,
        ClockCheck.run,
        KernelFilterCheck.run, LockoutCheck.run, ConfirmationCheck.run,
    ]

    /// Runs all checks that are about the role; each gives at least one finding, if only that all is well.
    package func run() -> [Finding] {
        Self.checks.flatMap { $0(self) }
    }

    /// The processes that are the daemon: one, if all is well.
    var daemons: [DaemonProcess] { processes.daemons(of: subject.installation) }

    /// The families that the kernel runs with.
    var families: [IPFamily] {
        host.read("/proc/net/if_inet6") == .missing ? [.ipv4] : [.ipv4, .ipv6]
    }

    /// Whether packets of others can pass through this host.
    var forwards: Bool {
        ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"].contains {
            (host.read($0).number ?? 0) > 0
        }
    }

    /// `findings`, or that all is well if there are none.
    static func findings(_ findings: [Finding], or check: String, _ text: String) -> [Finding] {
        findings.isEmpty ? [Finding(check, .ok, text)] : findings
    }

    /// `findings`, or that all is well if there are none and all rules could be looked at.
    func findings(aboutRules findings: [Finding], or check: String, _ text: String) -> [Finding] {
        guard !firewall.unread.isEmpty else { return Self.findings(findings, or: check, text) }
        return findings + [
            Finding(check, .note, "not known, since not all firewall rules could be looked at (see backend)")
        ]
    }

    /// A note that something could not be looked at.
    static func unseen(_ check: String, _ what: String) -> Finding {
        Finding(check, .note, "could not look at \(what)", cure: "run this as root")
    }

    /// `port 22` or `ports 22, 443`.
    static func text(ports: [UInt16]) -> String {
        "port\(ports.count == 1 ? "" : "s") \(ports.map(String.init).joined(separator: ", "))"
    }
}
