// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Program
internal import SystemPackage
internal import Wire

/// An examination of one installation: everything that its checks look at.
package struct Examination {
    /// The host.
    package let host: Host
    /// What its firewall script says.
    package let firewall: Firewall
    /// The processes of the host, read once.
    package let processes: Processes
    /// The intended values of the installation.
    package let subject: DoctorSubject

    package init(host: Host, firewall: Firewall, processes: Processes, subject: DoctorSubject) {
        self.host = host
        self.firewall = firewall
        self.processes = processes
        self.subject = subject
    }

    /// All checks, in the order in which a person would look.
    private static let checks: [@Sendable (Examination) -> [Finding]] = [
        KernelFeatureCheck.run, KeyCheck.run, FileCheck.run, DaemonCheck.run, QueueCheck.run, RuleCheck.run,
        ForeignRuleCheck.order, ForeignRuleCheck.filter, BackendCheck.run, ForeignRuleCheck.queue, MarkCheck.run,
        TrackingCheck.run,
        TranslationCheck.run, ScopeCheck.run, ServiceCheck.run, AddressCheck.run, TargetCheck.run, RoutingCheck.run,
        ClockCheck.run,
        KernelFilterCheck.run, LockoutCheck.run, ConfirmationCheck.run,
    ]

    /// Runs all checks.
    ///
    /// Each check that applies to the role gives at least one finding, if only that all is well.
    package func run() -> [Finding] {
        Self.checks.flatMap { $0(self) }
    }

    /// The processes of the daemon; exactly one if all is well.
    var daemons: [DaemonProcess] { processes.daemons(of: subject.installation) }

    /// The users that may own key files and the folders above.
    ///
    /// These are root, the daemon's user, the user that the daemon was started as, and the user who runs the check, who
    /// may be the one to start it.
    var trustedUsers: [UInt32] {
        let user = (try? Identity.find(subject.user))?.user
        return [0, host.userID] + (user.map { [$0] } ?? []) + daemons.compactMap(\.userID)
    }

    /// The number of the network namespace, which names of files contain; empty if it cannot be read.
    var networkNamespace: String { (host.link(FilePath.ownNetworkNamespace.string) ?? "").filter(\.isNumber) }

    /// The address families that the kernel supports.
    var families: [IPFamily] {
        host.read("/proc/net/if_inet6") == .missing ? [.ipv4] : [.ipv4, .ipv6]
    }

    /// Whether this host forwards packets of others.
    var forwards: Bool {
        ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"].contains {
            (host.read($0).number ?? 0) > 0
        }
    }

    /// Returns `findings`, or one that all is well if there are none.
    static func findings(_ findings: [Finding], or check: String, _ text: String) -> [Finding] {
        findings.isEmpty ? [Finding(check, .ok, text)] : findings
    }

    /// Returns `findings`, or one that all is well if there are none; adds a note if some rules could not be read.
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

    /// Formats ports as `port 22` or `ports 22, 443`.
    static func text(ports: [UInt16]) -> String {
        "port\(ports.count == 1 ? "" : "s") \(ports.map(String.init).joined(separator: ", "))"
    }
}
