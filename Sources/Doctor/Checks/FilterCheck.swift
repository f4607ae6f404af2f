// SPDX-License-Identifier: GPL-2.0-or-later

/// Looks whether the filter table lets in what the daemon has admitted.
enum FilterCheck {
    private static let name = "filter"
    private static let deepest = 16

    /// What becomes of the first packet of a connection.
    private enum Fate {
        case accepted
        case dropped(by: String)
        /// It goes on behind the chain.
        case undecided
    }

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        var findings: [Finding] = []
        for set in examination.firewall.sets {
            guard let table = set.table("filter"), table.policies["INPUT"] != nil else { continue }
            for port in subject.targetPorts {
                var fate = fate(of: port, in: "INPUT", table, 0)
                if case .undecided = fate, table.policies["INPUT"] == "DROP" {
                    fate = .dropped(by: "the policy of INPUT")
                }
                guard case .dropped(let reason) = fate, !examination.forwards else { continue }
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

    private static func fate(of port: UInt16, in chain: String, _ table: RuleTable, _ depth: Int) -> Fate {
        for rule in table.rules(in: chain) where rule.mayConcern(port: port, .toPort) {
            if let states = rule.value("--ctstate", "--state"), states.text.contains("NEW") == states.isNegated {
                continue
            }
            switch rule.target {
            case "ACCEPT", "NFQUEUE", "QUEUE": return .accepted
            case "DROP", "REJECT":
                if !rule.isConditional { return .dropped(by: rule.text) }
            case "RETURN":
                if !rule.isConditional { return .undecided }
            case let target?:
                guard depth < deepest, table.policies[target] != nil else { continue }
                switch fate(of: port, in: target, table, depth + 1) {
                case .accepted: return .accepted
                case .dropped(let reason): if !rule.isConditional { return .dropped(by: reason) }
                case .undecided: break
                }
            case nil: break
            }
        }
        return .undecided
    }
}
