// SPDX-License-Identifier: GPL-2.0-or-later

/// A rule of another program that lets packets to a protected port past the knock.
package struct Bypass: Equatable, Sendable {
    /// The protected port.
    package let port: UInt16
    /// The rule: its program, table and text.
    package let rule: String
    /// Whether the rule stops being a bypass once our rules come first again, which `server.sh up` achieves.
    package let yields: Bool

    /// Finds rules that accept packets before ours are reached, and rules that set the bit that means 'verified'.
    ///
    /// A rule for only some packets, such as those of one address, counts too: no knock is needed for those.
    ///
    /// - Parameters:
    ///   - firewall: All rules of the host.
    ///   - subject: The server whose rules are ours.
    /// - Returns: One bypass for each rule and port.
    package static func all(_ firewall: Firewall, _ subject: DoctorSubject) -> [Bypass] {
        firewall.sets.filter { $0.hasRules(of: subject.installation) }.flatMap { set in
            subject.targetPorts.flatMap { port in
                OwnHook.all(subject).flatMap { hook in bypasses(hook, port, set, subject) }
            }
        }
    }

    private static func bypasses(
        _ hook: OwnHook, _ port: UInt16, _ set: RuleSet, _ subject: DoctorSubject
    ) -> [Bypass] {
        guard hook.chain == "PREROUTING", let table = set.table(hook.table) else { return [] }
        let own = subject.installation.chainPrefix
        func bypass(_ rule: Rule, yields: Bool) -> Bypass {
            Bypass(port: port, rule: "\(set.program) -t \(table.name): \(rule.text)", yields: yields)
        }
        switch hook.target {
        case own + "IN":
            let reached = RuleOrderCheck.rules(before: hook, port, table)
            let accepting = RuleOrderCheck.decisive(reached).filter { !["DROP", "REJECT"].contains($0.rule.target) }
            let marking = reached.filter { MarkUse($0.rule, bit: subject.mark)?.verifies == true }
            // Rules that mark packets come first: they also open the gate of the kernel filter.
            return (marking + accepting).map { bypass($0.rule, yields: true) }
        case own + "UNMARK":
            // Our hook clears a bit that was set before it.
            let chain = table.rules(in: hook.chain)
            guard let end = chain.lastIndex(where: { hook.rules(in: table, port: port).contains($0) }) else {
                return []
            }
            let behind = RuleWalk.reach(from: chain[(end + 1)...], in: table) {
                !$0.isOurs && $0.mayConcern(port: port, hook.direction)
            }
            return behind.filter { $0.rule.target == "MARK" && MarkUse($0.rule, bit: subject.mark)?.verifies == true }
                .map { bypass($0.rule, yields: false) }
        default:
            return []
        }
    }
}
