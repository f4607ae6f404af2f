// SPDX-License-Identifier: GPL-2.0-or-later

/// A check that the filter tables of iptables and nft let in what the daemon has admitted.
enum FilterCheck {
    private static let name = "filter"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        var findings: [Finding] = []
        for set in examination.firewall.sets {
            guard let table = set.table("filter"), table.policies["INPUT"] != nil else { continue }
            for port in subject.targetPorts {
                guard !subject.isGateway, let reason = drop(port, table) else { continue }
                findings.append(
                    Finding(
                        name, .warning, "\(set.program) drops what the daemon has admitted to port \(port): \(reason)",
                        cure:
                            "\(set.program) -I INPUT -p tcp --dport \(port) -j ACCEPT; the knock is asked for before that"
                    ))
            }
        }
        findings += native(examination)
        return examination.findings(aboutRules: findings, or: name, "the filter table lets in what the daemon admits")
    }

    /// Checks the chains of nft.
    ///
    /// An accept in one table is not final: each base chain of each table can still drop.
    private static func native(_ examination: Examination) -> [Finding] {
        guard !examination.subject.isGateway else { return [] }
        let chains = examination.firewall.nativeChains.filter {
            $0.type == "filter" && ["prerouting", "input"].contains($0.hook)
                && ["ip", "ip6", "inet"].contains($0.family)
        }
        return chains.flatMap { chain in
            examination.subject.targetPorts.compactMap { port in
                guard let reason = examination.firewall.drop(port, in: chain) else { return nil }
                let place = "\(chain.family) \(chain.table) \(chain.name)"
                // firewalld undoes changes that others make in its table.
                let cure =
                    chain.table == "firewalld"
                    ? "firewall-cmd --add-port=\(port)/tcp, and again with --permanent"
                    : "nft insert rule \(place) tcp dport \(port) accept"
                return Finding(
                    name, .warning, "nft drops what is for port \(port), with the knock too: chain \(place): \(reason)",
                    cure: cure + "; the knock is asked for all the same")
            }
        }
    }

    /// The rule or policy that drops the first packet of a connection; nil if the packet can get through.
    private static func drop(_ port: UInt16, _ table: RuleTable) -> String? {
        let reached = RuleWalk.reach(from: table.rules(in: "INPUT"), in: table) { rule in
            let states = rule.value("--ctstate", "--state")
            let isForNew = states.map { $0.text.contains("NEW") != $0.isNegated } ?? true
            return isForNew && rule.mayConcern(port: port, .toPort)
        }
        for found in reached where found.rule.isFinal {
            guard ["DROP", "REJECT"].contains(found.rule.target) else { return nil }
            if !found.isConditional { return found.rule.text }
        }
        return table.policies["INPUT"] == "DROP" ? "the policy of INPUT" : nil
    }
}
