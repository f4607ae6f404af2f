// SPDX-License-Identifier: GPL-2.0-or-later

/// Looks whether this host itself translates what the daemon judges.
enum TranslationCheck {
    private static let name = "nat"

    static func run(_ examination: Examination) -> [Finding] {
        let findings =
            switch examination.subject.role {
            case .server: destinations(examination)
            case .client: sources(examination)
            }
        return examination.findings(
            aboutRules: findings, or: name, "this host does not translate what the daemon judges")
    }

    /// Behind the translation a SYN/ACK comes from another port, so the daemon never sees it.
    private static func destinations(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let cure = "protect the service where its address and port are final, or take the translation out: "
        let rules = examination.firewall.foreignRules(
            reachedBy: subject.targetPorts, [.toPort], from: ["PREROUTING", "INPUT"]
        ) { ["DNAT", "REDIRECT", "TPROXY", "NETMAP"].contains($0.target) }
        var findings = rules.map { set, table, port, reached in
            Finding(
                name, reached.isConditional ? .warning : .error,
                "port \(port) is translated on this host, where the knock cannot follow: \(set.program) -t \(table.name): "
                    + reached.rule.text, cure: cure + set.removal(of: reached.rule, in: table))
        }
        findings += examination.firewall.native.compactMap { rule in
            guard
                rule.has("dnat") || rule.has("redirect") || rule.text.contains("redirect to")
                    || rule.text.contains("tproxy"),
                let port = subject.targetPorts.first(where: { rule.mayConcern(port: $0, .toPort) })
            else { return nil }
            return Finding(
                name, .warning,
                "port \(port) is translated on this host, where the knock cannot follow: \(rule.description)",
                cure: cure + rule.removal)
        }
        return findings
    }

    /// The translation comes behind our hook, so the code is for an address that servers do not see.
    private static func sources(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.natAddresses.isEmpty, !subject.isRoaming else { return [] }
        let rules = examination.firewall.foreignRules(reachedBy: subject.targetPorts, [.toPort], from: ["POSTROUTING"])
        {
            ["MASQUERADE", "SNAT", "NETMAP"].contains($0.target)
        }
        return rules.map { set, table, _, reached in
            // A rule for some interface or network, as for containers, may not be about our connections.
            Finding(
                name, reached.isConditional ? .note : .warning,
                "this host changes its source address behind the daemon, for which the code is: \(set.program) "
                    + "-t \(table.name): \(reached.rule.text)",
                cure:
                    "if it meets connections to protected servers, give \(subject.role.program) the address that they "
                    + "see: --nat-ip ADDRESS")
        }
    }
}
