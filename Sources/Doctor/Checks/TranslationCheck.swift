// SPDX-License-Identifier: GPL-2.0-or-later

/// A check of whether this host itself translates what the daemon judges.
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

    /// Checks for translations of the destination.
    ///
    /// After one, a SYN/ACK comes from another port, and the daemon never sees it.
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
            guard rule.translatesDestination,
                let port = subject.targetPorts.first(where: { rule.mayConcern(port: $0, .toPort) })
            else { return nil }
            return Finding(
                name, .warning,
                "port \(port) is translated on this host, where the knock cannot follow: \(rule.description)",
                cure: cure + rule.removal)
        }
        return findings
    }

    /// Checks for translations of the source.
    ///
    /// They happen after our hook, so the code is for an address that servers do not see.
    private static func sources(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.natAddresses.isEmpty, !subject.isRoaming else { return [] }
        return sourceRules(examination).map { text, isSure in
            // A rule for a certain interface or network, such as one for containers, may not concern our connections.
            Finding(
                name, isSure ? .warning : .note,
                "this host changes its source address behind the daemon, for which the code is: \(text)",
                cure:
                    "if it meets connections to protected servers, give \(subject.role.program) the address that they "
                    + "see: --nat-ip ADDRESS")
        }
    }

    /// The rules of this host that can change the source of its own connections, and whether each is certain to do so.
    static func sourceRules(_ examination: Examination) -> [(text: String, isSure: Bool)] {
        let ports = examination.subject.targetPorts
        let rules = examination.firewall.foreignRules(reachedBy: ports, [.toPort], from: ["POSTROUTING"]) {
            ["MASQUERADE", "SNAT", "NETMAP"].contains($0.target)
        }
        let native = examination.firewall.native.filter { rule in
            rule.translatesSource && ports.contains { rule.mayConcern(port: $0, .toPort) }
        }
        return rules.map {
            ("\($0.set.program) -t \($0.table.name): \($0.reached.rule.text)", !$0.reached.isConditional)
        }
            + native.map { ($0.description, false) }
    }
}
