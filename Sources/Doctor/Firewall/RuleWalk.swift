// SPDX-License-Identifier: GPL-2.0-or-later

/// A rule that packets of a port can reach.
package struct ReachedRule: Equatable, Sendable {
    /// The rule.
    package let rule: Rule
    /// The rule of the first chain that led to it; the rule itself if it is in that chain.
    package let top: Rule
    /// Whether some packets of the port do not reach the rule or do not match it.
    package let isConditional: Bool
}

/// A walk through the rules of a table, following jumps, in the order in which a packet meets them.
///
/// Each chain is walked at most twice, once under a condition and once without, so the walk always ends.
struct RuleWalk {
    /// The greatest depth of jumps that is followed.
    ///
    /// The kernel limits it too, by the size of its jump stack.
    private static let deepest = 64

    private let table: RuleTable
    private let concerns: (Rule) -> Bool
    private let isCondition: (Rule) -> Bool
    private var reached: [ReachedRule] = []
    /// The chains that were walked, and whether under a condition.
    private var walked: [String: Bool] = [:]
    /// Whether packets go on after a chain that was walked.
    private var goesOn: [String: Bool] = [:]

    /// Walks from the given rules of a chain.
    ///
    /// - Parameters:
    ///   - rules: The rules to begin with: all rules of a chain, or the first of them.
    ///   - table: The table that contains them.
    ///   - isCondition: Whether a rule leaves out some packets.
    ///   - concerns: Whether a rule can match any of the packets.
    /// - Returns: All rules that packets can reach, except jumps.
    static func reach(
        from rules: some Sequence<Rule>, in table: RuleTable, isCondition: @escaping (Rule) -> Bool = \.isConditional,
        concerns: @escaping (Rule) -> Bool
    ) -> [ReachedRule] {
        var walk = RuleWalk(table: table, concerns: concerns, isCondition: isCondition)
        _ = walk.visit(rules, top: nil, isConditional: false, depth: 0)
        return walk.reached
    }

    private init(table: RuleTable, concerns: @escaping (Rule) -> Bool, isCondition: @escaping (Rule) -> Bool) {
        self.table = table
        self.concerns = concerns
        self.isCondition = isCondition
    }

    /// Visits rules, and returns whether packets go on after them.
    private mutating func visit(_ rules: some Sequence<Rule>, top: Rule?, isConditional: Bool, depth: Int) -> Bool {
        var isConditional = isConditional
        var someReturn = false
        for rule in rules where concerns(rule) {
            let isForSome = isCondition(rule)
            if let target = rule.target, table.policies[target] != nil {
                let returns = visit(chain: target, top ?? rule, isConditional: isConditional || isForSome, depth + 1)
                // A goto does not return to this chain.
                if !isForSome, !returns || rule.has("-g") { return returns || someReturn }
                continue
            }
            reached.append(ReachedRule(rule: rule, top: top ?? rule, isConditional: isConditional || isForSome))
            if rule.target == "RETURN" {
                guard isForSome else { return true }
                (isConditional, someReturn) = (true, true)
            } else if rule.isFinal, !isForSome {
                return someReturn
            }
        }
        return true
    }

    private mutating func visit(chain: String, _ top: Rule, isConditional: Bool, _ depth: Int) -> Bool {
        guard depth < Self.deepest else { return true }
        if let before = walked[chain], !before || isConditional { return goesOn[chain] ?? true }
        walked[chain] = isConditional
        let result = visit(table.rules(in: chain), top: top, isConditional: isConditional, depth: depth)
        goesOn[chain] = result
        return result
    }
}

extension RuleTable {
    /// The names of the built-in chains, sorted.
    var builtInChains: [String] { policies.filter { $0.value != "-" }.keys.sorted() }

    /// Returns all rules that packets to or from a port can reach from any of the given chains.
    func reach(from chains: [String], port: UInt16, _ directions: [Rule.Direction]) -> [ReachedRule] {
        var found: [ReachedRule] = []
        for chain in chains {
            for direction in directions {
                found += RuleWalk.reach(from: rules(in: chain), in: self) { $0.mayConcern(port: port, direction) }
            }
        }
        return found
    }
}

extension Firewall {
    /// Returns the rules of others that packets of some ports can reach, each once, with their set and table.
    ///
    /// - Parameters:
    ///   - ports: The ports.
    ///   - directions: Packets to the ports, from them, or both.
    ///   - chains: The built-in chains to begin with; nil for all.
    ///   - wanted: Whether a rule is of interest.
    /// - Returns: The rules, each with one port whose packets reach it.
    func foreignRules(
        reachedBy ports: [UInt16], _ directions: [Rule.Direction], from chains: [String]? = nil,
        where wanted: (Rule) -> Bool
    ) -> [(set: RuleSet, table: RuleTable, port: UInt16, reached: ReachedRule)] {
        var found: [(set: RuleSet, table: RuleTable, port: UInt16, reached: ReachedRule)] = []
        for set in sets {
            for table in set.tables where table.rules.contains(where: wanted) {
                var seen: Set<String> = []
                let starts = table.builtInChains.filter { chains?.contains($0) ?? true }
                for port in ports {
                    // If a rule is reached in two ways, keep the one without a condition.
                    let reached = table.reach(from: starts, port: port, directions)
                        .filter { wanted($0.rule) && !$0.rule.isOurs }
                    for rule in reached.filter({ !$0.isConditional }) + reached.filter(\.isConditional)
                    where seen.insert(rule.rule.text).inserted {
                        found.append((set, table, port, rule))
                    }
                }
            }
        }
        return found
    }
}
