// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings

/// A check for rules before ours that decide the fate of packets that we must see.
enum RuleOrderCheck {
    private static let name = "order"
    /// The greatest number of findings that are reported.
    private static let most = 10

    static func run(_ examination: Examination) -> [Finding] {
        var findings: [Finding] = []
        for set in examination.firewall.sets where set.hasRules(of: examination.subject.installation) {
            for hook in OwnHook.all(examination.subject) {
                guard let table = set.table(hook.table) else { continue }
                for port in examination.subject.targetPorts {
                    findings += before(hook, port, table, set, examination)
                }
            }
        }
        // One rule can come before the jumps of several ports.
        findings = findings.enumerated().filter { !findings.prefix($0.offset).contains($0.element) }.map(\.element)
        return examination.findings(
            aboutRules: Array(findings.prefix(most)), or: name, "no rule before ours decides about the ports")
    }

    private static func before(
        _ hook: OwnHook, _ port: UInt16, _ table: RuleTable, _ set: RuleSet, _ examination: Examination
    ) -> [Finding] {
        let reached = rules(before: hook, port, table)
        let cleared = reached.filter {
            hook.table == "mangle" && MarkUse.clears($0.rule, bit: examination.subject.mark)
        }
        return cleared.map { clearing(of: $0, table, set, examination.subject) }
            + decisive(reached).map { finding($0, hook, table, set, examination.subject) }
    }

    /// The finding for a rule that clears the daemon's mark.
    ///
    /// Accepted packets start the table again with that mark.
    private static func clearing(
        of found: ReachedRule, _ table: RuleTable, _ set: RuleSet, _ subject: DoctorSubject
    ) -> Finding {
        Finding(
            name, found.isConditional ? .warning : .error,
            "a rule before ours takes the daemon's mark off packets, which never get further then: \(set.program) -t "
                + "\(table.name): \(found.rule.text)", cure: "put ours first again: \(subject.script("up"))")
    }

    /// The rules that packets to or from a port can reach before our hook.
    static func rules(before hook: OwnHook, _ port: UInt16, _ table: RuleTable) -> [ReachedRule] {
        let chain = table.rules(in: hook.chain)
        guard let ours = hook.rules(in: table, port: port).last, let end = chain.lastIndex(of: ours) else { return [] }
        return RuleWalk.reach(from: chain[..<end], in: table, isCondition: \.isOnlyForSome) {
            !$0.isOurs && $0.mayConcern(port: port, hook.direction)
        }
    }

    /// The rules that keep packets from our hook, at most one for each rule of the built-in chain.
    static func decisive(_ reached: [ReachedRule]) -> [ReachedRule] {
        var tops: [Rule] = []
        return reached.filter { found in
            let leaves = found.rule.target == "RETURN" && found.rule == found.top
            guard found.rule.isFinal || leaves, !tops.contains(found.top) else { return false }
            tops.append(found.top)
            return true
        }
    }

    private static func finding(
        _ decisive: ReachedRule, _ hook: OwnHook, _ table: RuleTable, _ set: RuleSet, _ subject: DoctorSubject
    ) -> Finding {
        let isConditional = decisive.isConditional
        let isDrop = ["DROP", "REJECT"].contains(decisive.rule.target)
        let isRaw = hook.table == "raw" && subject.role == .server
        // Our rules in the raw table only save time: the daemon decides in any case.
        let severity: Severity =
            isDrop ? (isConditional ? .note : .warning) : isRaw ? .note : isConditional ? .warning : .error
        let what = isDrop ? "drops" : "decides about"
        return Finding(
            name, severity,
            "a rule before ours \(what) packets of the ports: \(set.program) -t \(table.name): \(decisive.rule.text)",
            cure:
                "put ours first again: \(subject.script("up")); or take the other out: "
                + set.removal(of: decisive.top, in: table))
    }
}

extension Rule {
    /// Whether its conditions leave out many packets of a port, such as those of other hosts or interfaces, or those
    /// above a rate.
    ///
    /// A match on a state that established connections have is not such a condition: the third ACK of a handshake has
    /// it too.
    var isOnlyForSome: Bool {
        if let states = value("--ctstate", "--state"), states.text.contains("ESTABLISHED"), !states.isNegated {
            return false
        }
        return isConditional
    }
}

/// A check of whether rules are spread over both kinds of iptables.
enum BackendCheck {
    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let name = "backend"
        let used = Backend.allCases.filter { backend in
            examination.firewall.sets.contains { $0.backend == backend && $0.hasRules(of: subject.installation) }
        }
        if used.count > 1 {
            return [
                Finding(
                    name, .error,
                    "the \(subject.role.rawValue)'s rules are in iptables-nft and in iptables-legacy, so packets are queued "
                        + "twice", cure: "\(subject.script("down")) && \(subject.script("up"))")
            ]
        }
        var findings: [Finding] = []
        if let own = used.first, subject.iptables != .auto, subject.iptables.rawValue != own.rawValue {
            findings.append(
                Finding(
                    name, .warning,
                    "the rules are in iptables-\(own.rawValue), but the setting 'iptables' says "
                        + "\(subject.iptables.rawValue): 'up' refuses to replace them, and so does a reload of the service",
                    cure: "\(subject.script("down")) && \(subject.script("up"))"))
        }
        if !examination.firewall.unread.isEmpty {
            let isRoot = examination.host.userID == 0
            findings.append(
                Finding(
                    name, .note, "could not look at all rules: \(examination.firewall.unread.joined(separator: "; "))",
                    cure: isRoot ? "look at them yourself: iptables-nft-save; iptables-legacy-save" : "run this as root"
                ))
        }
        let others = Backend.allCases.filter { backend in
            !used.contains(backend)
                && examination.firewall.foreignRules.contains { $0.set.backend == backend }
        }
        if let own = used.first, let other = others.first {
            findings.append(
                Finding(
                    name, .note,
                    "our rules are in iptables-\(own.rawValue), others in iptables-\(other.rawValue): both hold, and "
                        + "neither program shows the other's (iptables-nft-save and iptables-legacy-save do)"))
        }
        return Examination.findings(
            findings, or: name,
            used.first.map { "the rules are in iptables-\($0.rawValue) alone" } ?? "there are no rules")
    }
}
