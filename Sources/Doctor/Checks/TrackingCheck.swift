// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control

/// A check that connections to the ports are tracked, and that there is room to track more.
enum TrackingCheck {
    private static let name = "tracking"
    /// The folder of settings for each start of the host.
    private static let permanent = "/etc/sysctl.d"
    private static let folder = "/proc/sys/net/netfilter/nf_conntrack_"

    /// Two hours in seconds, the kernel's default time before the first TCP keepalive probe.
    private static let shortestTimeout = 7200

    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        return ForeignRuleCheck.findings(
            .tracking, name, examination, isWell: "connections are tracked, and there is room for more",
            others: fill(examination.host) + settings(examination.host, examination.subject), advice: \.undo)
    }

    private static func fill(_ host: Host) -> [Finding] {
        guard let count = host.read(folder + "count").number, let most = host.read(folder + "max").number, most > 0
        else { return [Finding(name, .note, "it is not known how full the table of connections is")] }
        let percent = count >= most ? 100 : Int(Double(count) / Double(most) * 100)
        guard percent >= 80 else { return [] }
        let wanted = max(most, 1 << 16).multipliedReportingOverflow(by: 2)
        return [
            Finding(
                name, percent >= 95 ? .error : .warning,
                "the table of connections is \(percent) % full (\(count) of \(most)): when it is full, new connections "
                    + "are dropped and old ones forgotten, verified ones too",
                cure:
                    "sysctl -w net.netfilter.nf_conntrack_max=\(wanted.overflow ? most : wanted.partialValue), and in "
                    + "\(permanent); look who has so many: conntrack -L")
        ]
    }

    private static func settings(_ host: Host, _ subject: DoctorSubject) -> [Finding] {
        var findings: [Finding] = []
        if host.read(folder + "tcp_loose").number == 0 {
            findings.append(
                Finding(
                    name, .note,
                    "nf_conntrack_tcp_loose is 0: connections from before the rules that are not tracked yet will not be kept",
                    cure:
                        "sysctl -w net.netfilter.nf_conntrack_tcp_loose=1, before '\(subject.script("up"))', if such must stay open"
                ))
        }
        if let seconds = host.read(folder + "tcp_timeout_established").number, seconds < shortestTimeout {
            findings.append(
                Finding(
                    name, .note,
                    "nf_conntrack_tcp_timeout_established is \(seconds) s: on a gateway, verified connections that are idle "
                        + "for longer are cut off; those of this host's own sockets are not while the daemon runs",
                    cure: "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=432000, and in \(permanent)"))
        }
        if host.read(folder + "acct").number == 0 {
            findings.append(
                Finding(
                    name, .note, "nf_conntrack_acct is 0: the kernel does not count the bytes of connections",
                    cure: "sysctl -w net.netfilter.nf_conntrack_acct=1, if they are to be in logs and statistics"))
        }
        return findings
    }
}
