// SPDX-License-Identifier: GPL-2.0-or-later

/// Looks whether the filter table lets in what the daemon has admitted.
enum FilterCheck {
    private static let name = "filter"
    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        var findings: [Finding] = []
        for set in examination.firewall.sets {
            guard let table = set.table("filter"), table.policies["INPUT"] != nil else { continue }
            for port in subject.targetPorts {
                guard !examination.forwards, let reason = drop(port, table) else { continue }
                findings.append(
                    Finding(
                        name, .warning, "\(set.program) drops what the daemon has admitted to port \(port): \(reason)",
                        cure:
                            "\(set.program) -I INPUT -p tcp --dport \(port) -j ACCEPT; the knock is asked for before that"
                    ))
            }
        }
        return examination.findings(aboutRules: findings, or: name, "the filter table lets in what the daemon admits")
    }

    /// What drops the first packet of a connection; nil if it can get through.
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
