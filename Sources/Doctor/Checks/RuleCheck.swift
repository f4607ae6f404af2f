// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// A check that the rules are up for both families, are complete, and have the daemon's values.
enum RuleCheck {
    static func run(_ examination: Examination) -> [Finding] {
        IPFamily.allCases.flatMap { family -> [Finding] in
            let name = "rules-ipv\(family.rawValue)"
            guard examination.families.contains(family) else {
                return [Finding(name, .ok, "this kernel runs without IPv\(family.rawValue)")]
            }
            let sets = examination.firewall.sets(of: examination.subject.installation, family)
            guard !sets.isEmpty else { return [missing(name, family, examination)] }
            let findings = sets.flatMap { hooks(name, $0, examination) + chains(name, $0, examination) }
            let backends = sets.map { "iptables-\($0.backend.rawValue)" }.joined(separator: " and ")
            let ports = Examination.text(ports: examination.subject.targetPorts)
            return Examination.findings(findings, or: name, "up in \(backends) for \(ports)")
        }
    }

    private static func missing(_ name: String, _ family: IPFamily, _ examination: Examination) -> Finding {
        let subject = examination.subject
        let program = family == .ipv4 ? "iptables" : "ip6tables"
        if let reason = examination.firewall.unread.first(where: { $0.hasPrefix(program + "-") }) {
            return Finding(
                name, .note, "could not look at the rules: \(reason)",
                cure: examination.host.userID == 0 ? "look yourself: \(subject.script("status"))" : "run this as root")
        }
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

    // MARK: Jumps

    private static func hooks(_ name: String, _ set: RuleSet, _ examination: Examination) -> [Finding] {
        let subject = examination.subject
        var findings: [Finding] = []
        var missing: [UInt16: [String]] = [:]
        for hook in OwnHook.all(subject) {
            for port in subject.targetPorts {
                let count = set.table(hook.table).map { hook.rules(in: $0, port: port).count } ?? 0
                if count < hook.count { missing[port, default: []].append("\(hook.table) \(hook.chain)") }
            }
        }
        let total = OwnHook.all(subject).count
        let others = otherPorts(set, subject)
        let cure = subject.script("up", dropsPorts: !others.isEmpty)
        for (port, places) in missing.sorted(by: { $0.key < $1.key }) {
            let isWhole = places.count == total
            findings.append(
                Finding(
                    name, .error,
                    isWhole
                        ? "the rules leave out port \(port)"
                        : "the rules for port \(port) are not whole: a jump is missing in \(places.joined(separator: ", "))",
                    cure: cure))
        }
        for port in others {
            findings.append(
                Finding(
                    name, subject.role == .server ? .error : .warning,
                    "the rules are for port \(port) too, which the daemon knows nothing of",
                    cure: "give the daemon --target-port \(port) as well, or take it out: \(cure)"))
        }
        return findings
    }

    /// The ports that have jumps to our chains but should not.
    private static func otherPorts(_ set: RuleSet, _ subject: DoctorSubject) -> [UInt16] {
        var ports: Set<UInt16> = []
        for hook in OwnHook.all(subject) {
            for rule in set.table(hook.table)?.rules(in: hook.chain) ?? [] where rule.target == hook.target {
                if let port = rule.value(hook.direction == .toPort ? "--dport" : "--sport").flatMap({ UInt16($0.text) })
                {
                    ports.insert(port)
                }
            }
        }
        return ports.subtracting(subject.targetPorts).sorted()
    }

    // MARK: The contents of our chains

    private static func chains(_ name: String, _ set: RuleSet, _ examination: Examination) -> [Finding] {
        let subject = examination.subject
        var findings: [Finding] = []
        for chain in OwnChain.all(subject, set.family) {
            let rules = set.table(chain.table)?.rules(in: chain.name) ?? []
            findings += content(name, chain, rules, subject)
            findings += rules.compactMap { queue(name, $0, subject) }
        }
        return unique(findings)
    }

    private static func content(
        _ name: String, _ chain: OwnChain, _ rules: [Rule], _ subject: DoctorSubject
    ) -> [Finding] {
        var rest = rules[...]
        var strange: [Rule] = []
        var missing: [String] = []
        for pattern in chain.rules {
            guard let index = rest.firstIndex(where: { OwnChain.matches($0, pattern) }) else {
                missing.append(pattern)
                continue
            }
            strange += rest[rest.startIndex..<index]
            rest = rest[(index + 1)...]
        }
        strange = (strange + rest).filter { rule in !chain.optional.contains { OwnChain.matches(rule, $0) } }
        // The daemon drops everything that the raw table would drop.
        let severity: Severity = chain.table == "raw" && subject.role == .server ? .warning : .error
        if let mark = otherMark(missing, rules, subject) {
            return [
                Finding(
                    name, .error, "the rules are for the mark \(mark), but the daemon sets \(subject.markText)",
                    cure: "give both the same --mark: \(subject.script("up"))")
            ]
        }
        var findings: [Finding] = []
        if !missing.isEmpty {
            findings.append(
                Finding(
                    name, severity,
                    "the chain \(chain.name) was changed: \(missing.count) of its rules are missing or in "
                        + "another order", cure: subject.script("up")))
        }
        findings += strange.map { rule in
            Finding(
                name, severity, "somebody has put a rule into our chain: \(rule.text)",
                cure: "'\(subject.script("up"))' takes it out")
        }
        return findings
    }

    /// The mark in our rules if a different mark is what is wrong with them; nil otherwise.
    private static func otherMark(_ missing: [String], _ rules: [Rule], _ subject: DoctorSubject) -> String? {
        guard subject.role == .server,
            missing.contains(where: { $0.contains("/\(subject.markText)") || $0.contains("-mask") })
        else { return nil }
        let values = rules.compactMap { $0.value("--set-xmark", "--mark")?.text.split(separator: "/").last }
        return values.first { $0 != subject.markText }.map(String.init)
    }

    private static func queue(_ name: String, _ rule: Rule, _ subject: DoctorSubject) -> Finding? {
        guard let queues = rule.queues else { return nil }
        if queues != subject.queues {
            let text = queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound):\(queues.upperBound)"
            return Finding(
                name, .error, "the rules send packets to queue \(text), but the daemon's is \(subject.queueText)",
                cure: "give both the same --queue-num: \(subject.script("up"))")
        }
        let bypasses = rule.has("--queue-bypass")
        guard bypasses != (subject.role == .client) else { return nil }
        return Finding(
            name, subject.role == .server ? .error : .warning,
            bypasses
                ? "with --queue-bypass, everybody gets in while the daemon does not run: \(rule.text)"
                : "without --queue-bypass, no connection to the ports works while the daemon does not run: \(rule.text)",
            cure: subject.script("up"))
    }

    private static func unique(_ findings: [Finding]) -> [Finding] {
        findings.enumerated().filter { !findings.prefix($0.offset).contains($0.element) }.map(\.element)
    }
}
