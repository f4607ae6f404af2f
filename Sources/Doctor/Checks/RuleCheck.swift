// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Wire

/// A check that the rules are up for both families, are complete, and have the daemon's values.
enum RuleCheck {
    static func run(_ examination: Examination) -> [Finding] {
        IPFamily.allCases.flatMap { family -> [Finding] in
            let name = "rules-ipv\(family.rawValue)"
            guard examination.families.contains(family) else {
                return [Finding(name, .ok, "this kernel runs without IPv\(family.rawValue)")]
            }
            guard let status = examination.firewall.status else {
                let reason = examination.firewall.unread.joined(separator: "; ")
                return [
                    Finding(
                        name, .note, "could not look at the rules: \(reason)", cure: examination.firewall.cure)
                ]
            }
            guard status.present.contains(where: { $0.family == family }) else {
                return [missing(name, family, examination)]
            }
            let findings = values(name, status, examination.subject) + rules(name, family, status, examination.subject)
            let backends = status.iptablesInUse.map { "iptables-\($0)" }.joined(separator: " and ")
            let ports = Examination.text(ports: examination.subject.targetPorts)
            return Examination.findings(findings, or: name, "up in \(backends) for \(ports)")
        }
    }

    private static func missing(_ name: String, _ family: IPFamily, _ examination: Examination) -> Finding {
        let subject = examination.subject
        let ports = Examination.text(ports: subject.targetPorts)
        let consequence =
            KernelFilterCheck.isGateClosed(family, examination)
            ? "nobody gets in to \(ports) over IPv\(family.rawValue), since the kernel filter is still attached"
            : subject.role == .server
                ? "\(ports) can be reached over IPv\(family.rawValue) without a knock"
                : "connections to \(ports) over IPv\(family.rawValue) go out without a knock"
        return Finding(
            name, .error, "there are no rules for IPv\(family.rawValue): \(consequence)", cure: subject.script("up"))
    }

    /// Compares the values that the rules were made with with those of the daemon.
    private static func values(_ name: String, _ status: FirewallStatus, _ subject: DoctorSubject) -> [Finding] {
        let others = status.ports.filter { !subject.targetPorts.contains($0) }
        let isElsewhere =
            subject.role == .server && !status.protect.isEmpty
            && (Set(status.protect) != Set(subject.protect) || Set(status.exempt) != Set(subject.exempt))
        let dropsPlaces = isElsewhere && !Set(status.protect).isSubset(of: subject.protect)
        let cure = subject.script("up", dropsPorts: !others.isEmpty || dropsPlaces)
        var findings = subject.targetPorts.filter { !status.ports.contains($0) }.map {
            Finding(name, .error, "the rules leave out port \($0)", cure: cure)
        }
        findings += others.map {
            Finding(
                name, subject.role == .server ? .error : .warning,
                "the rules are for port \($0) too, which the daemon knows nothing of",
                cure: "give the daemon --target-port \($0) as well, or take it out: \(cure)")
        }
        if status.mark != subject.markText {
            findings.append(
                Finding(
                    name, .error, "the rules are for the mark \(status.mark), but the daemon sets \(subject.markText)",
                    cure: "give both the same --mark: \(cure)"))
        }
        if status.queue != subject.queueText {
            findings.append(
                Finding(
                    name, .error,
                    "the rules send packets to queue \(status.queue), but the daemon's is \(subject.queueText)",
                    cure: "give both the same --queue-num: \(cure)"))
        }
        if isElsewhere {
            findings.append(
                Finding(name, .error, "the rules have another 'protect' or 'exempt' than the daemon", cure: cure))
        }
        if subject.role == .server, (status.onFailure == "reset") != subject.answersRefused {
            findings.append(
                Finding(name, .error, "the rules have another 'on_failure' than the daemon", cure: cure))
        }
        return findings
    }

    /// Reports what is not as the script put it.
    private static func rules(
        _ name: String, _ family: IPFamily, _ status: FirewallStatus, _ subject: DoctorSubject
    ) -> [Finding] {
        func severity(_ rule: FirewallRule) -> Severity {
            // The daemon drops everything that the raw table would drop.
            rule.table == "raw" && subject.role == .server ? .warning : .error
        }
        let missing = status.missing.filter { $0.family == family }
        var findings: [Finding] = []
        for port in status.ports {
            let places = missing.filter { !$0.isInOurChain && $0.port == port }.map { "\($0.table) \($0.chain)" }
            guard !places.isEmpty else { continue }
            findings.append(
                Finding(
                    name, .error,
                    "the rules for port \(port) are not whole: a jump is missing in "
                        + unique(places).joined(separator: ", "), cure: subject.script("up")))
        }
        let changed = missing.filter(\.isInOurChain)
        for chain in unique(changed.map(\.chain)) {
            let rules = changed.filter { $0.chain == chain }
            findings.append(
                Finding(
                    name, rules.map(severity).max() ?? .error,
                    "the chain \(chain) was changed: \(rules.count) of its rules are missing or in another order",
                    cure: subject.script("up")))
        }
        return findings
            + status.unexpected.filter { $0.family == family }.map { rule in
                if let bypasses = rule.bypassesQueue, bypasses == (subject.role == .server) {
                    return queue(name, rule, bypasses, subject)
                }
                return Finding(
                    name, severity(rule),
                    rule.isInOurChain
                        ? "somebody has put a rule into our chain: \(rule.text)"
                        : "somebody has added a jump to our chain: \(rule.text)",
                    cure: "'\(subject.script("up"))' takes it out")
            }
    }

    private static func queue(
        _ name: String, _ rule: FirewallRule, _ bypasses: Bool, _ subject: DoctorSubject
    ) -> Finding {
        Finding(
            name, subject.role == .server ? .error : .warning,
            bypasses
                ? "with --queue-bypass, everybody gets in while the daemon does not run: \(rule.text)"
                : "without --queue-bypass, no connection to the ports works while the daemon does not run: \(rule.text)",
            cure: subject.script("up"))
    }

    private static func unique<Element: Equatable>(_ elements: [Element]) -> [Element] {
        elements.enumerated().filter { !elements.prefix($0.offset).contains($0.element) }.map(\.element)
    }
}
