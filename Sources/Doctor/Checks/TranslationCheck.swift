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
        var findings = examination.firewall.foreignRules.compactMap { set, table, rule -> Finding? in
            guard ["DNAT", "REDIRECT", "TPROXY", "NETMAP"].contains(rule.target), rule.chain != "OUTPUT",
                let port = subject.targetPorts.first(where: { rule.mayConcern(port: $0, .toPort) })
            else { return nil }
            return Finding(
                name, rule.isConditional ? .warning : .error,
                "port \(port) is translated on this host, where the knock cannot follow: \(set.program) -t \(table.name): "
                    + rule.text, cure: cure + set.removal(of: rule, in: table))
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
        return examination.firewall.foreignRules.compactMap { set, table, rule in
            guard ["MASQUERADE", "SNAT", "NETMAP"].contains(rule.target), rule.chain != "INPUT",
                subject.targetPorts.contains(where: { rule.mayConcern(port: $0, .toPort) })
            else { return nil }
            // A rule for some interface or network, as for containers, may not be about our connections.
            return Finding(
                name, rule.isConditional ? .note : .warning,
                "this host changes its source address behind the daemon, for which the code is: \(set.program) "
                    + "-t \(table.name): \(rule.text)",
                cure:
                    "if it meets connections to protected servers, give \(subject.role.program) the address that they "
                    + "see: --nat-ip ADDRESS")
        }
    }
}
