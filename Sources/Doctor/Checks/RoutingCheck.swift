// SPDX-License-Identifier: GPL-2.0-or-later

/// A check that both directions of a connection pass through this host.
enum RoutingCheck {
    private static let name = "routing"
    private static let folder = "/proc/sys/net/ipv4/conf"

    static func run(_ examination: Examination) -> [Finding] {
        var findings = reversePath(examination.host)
        if examination.subject.role == .server, examination.host.read("/proc/sys/net/ipv4/tcp_syncookies").number == 0 {
            findings.append(
                Finding(
                    name, .note, "SYN cookies are off: who has the key could fill the service's backlog",
                    cure: "sysctl -w net.ipv4.tcp_syncookies=1"))
        }
        let others = examination.subject.isGateway ? "packets of others, behind the knock" : "packets of others"
        let text = "this host forwards \(examination.forwards ? others : "nothing")"
        return Examination.findings(findings, or: name, "\(text); its routes are plain")
    }

    /// Checks the strict reverse path filter, which drops what arrives on another interface than the one that answers
    /// leave by.
    private static func reversePath(_ host: Host) -> [Finding] {
        let defaults = RouteTable.defaultInterfaces(host.read(RouteTable.path).text ?? "")
        let all = host.read("\(folder)/all/rp_filter").number ?? 0
        let interfaces = host.list(folder).filter { !["all", "default", "lo"].contains($0) }
        // The kernel uses the greater of the two values: 1 is strict, 2 is loose
        // (Documentation/networking/ip-sysctl.rst).
        let strict = interfaces.filter { max(all, host.read("\(folder)/\($0)/rp_filter").number ?? 0) == 1 }
        let affected = strict.filter { defaults.contains($0) }
        if defaults.count > 1, !affected.isEmpty {
            return [
                Finding(
                    name, .warning,
                    "there are default routes by \(defaults.joined(separator: " and ")), and the strict reverse path filter "
                        + "is on for \(affected.joined(separator: " and ")): what comes in by the less preferred is dropped",
                    cure: (["all"] + affected).map { "sysctl -w net.ipv4.conf.\($0).rp_filter=2" }.joined(
                        separator: "; "))
            ]
        }
        guard defaults.count > 1 else { return [] }
        return [
            Finding(
                name, .note,
                "there are default routes by \(defaults.joined(separator: " and ")): both directions of a connection must "
                    + "pass this host", cure: "look where answers go: ip route get ADDRESS-OF-THE-OTHER-HOST")
        ]
    }
}
