// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control

/// A check for rules of other programs that get in the way, which the firewall script finds.
enum ForeignRuleCheck {
    /// Returns the findings about rules with an effect, or one that all is well.
    ///
    /// - Parameters:
    ///   - effect: The effect.
    ///   - name: The name of the check.
    ///   - examination: The examination.
    ///   - isWell: What is well if there is no such rule.
    ///   - others: Findings of the same check that are not about rules.
    ///   - advice: What to do about a rule.
    /// - Returns: At least one finding.
    static func findings(
        _ effect: ForeignRule.Effect, _ name: String, _ examination: Examination, isWell: String,
        others: [Finding] = [], advice: (ForeignRule) -> String
    ) -> [Finding] {
        let rules = (examination.firewall.status?.foreign ?? []).filter { $0.effect == effect }
        let findings = rules.map { rule in
            Finding(name, Severity(rawValue: rule.severity) ?? .error, rule.found, cure: advice(rule))
        }
        return examination.findings(aboutRules: findings + others, or: name, isWell)
    }

    /// Checks for rules before ours that decide the fate of packets that we must see.
    static func order(_ examination: Examination) -> [Finding] {
        findings(.order, "order", examination, isWell: "no rule before ours decides about the ports") { rule in
            "put ours first again: \(examination.subject.script("up")); or take the other out: \(rule.undo)"
        }
    }

    /// Checks that the filter tables of iptables and nft let in what the daemon has admitted.
    static func filter(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        return findings(.filter, "filter", examination, isWell: "the filter table lets in what the daemon admits") {
            "\($0.undo); the knock is asked for all the same"
        }
    }

    /// Checks for rules of other programs that send packets to the daemon's queues.
    static func queue(_ examination: Examination) -> [Finding] {
        let isWell = "only its own rules use queue \(examination.subject.queueText)"
        return findings(.queue, "foreign-queue", examination, isWell: isWell) {
            "\($0.undo); or give the daemon and its rules another --queue-num"
        }
    }
}
