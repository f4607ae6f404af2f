// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings

/// A check of whether rules are spread over both kinds of iptables.
enum BackendCheck {
    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let name = "backend"
        let used = examination.firewall.status?.iptablesInUse ?? []
        let cure = "\(subject.script("down")) && \(subject.script("up"))"
        if used.count > 1 {
            return [
                Finding(
                    name, .error,
                    "the \(subject.role.rawValue)'s rules are in iptables-nft and in iptables-legacy, so packets are queued "
                        + "twice", cure: cure)
            ]
        }
        var findings: [Finding] = []
        if let own = used.first, subject.iptables != .auto, subject.iptables.rawValue != own {
            findings.append(
                Finding(
                    name, .warning,
                    "the rules are in iptables-\(own), but the setting 'iptables' says "
                        + "\(subject.iptables.rawValue): 'up' refuses to replace them, and so does a reload of the service",
                    cure: cure))
        }
        if !examination.firewall.unread.isEmpty {
            findings.append(
                Finding(
                    name, .note, "could not look at all rules: \(examination.firewall.unread.joined(separator: "; "))",
                    cure: examination.firewall.cure))
        }
        findings += (examination.firewall.status?.foreign ?? []).filter { $0.effect == .backend }.map {
            Finding(name, .note, $0.found)
        }
        return Examination.findings(
            findings, or: name, used.first.map { "the rules are in iptables-\($0) alone" } ?? "there are no rules")
    }
}
