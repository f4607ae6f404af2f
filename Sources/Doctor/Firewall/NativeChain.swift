// SPDX-License-Identifier: GPL-2.0-or-later

/// A base chain, as nft(8) lists it.
package struct NativeChain: Equatable, Sendable {
    /// `ip`, `ip6`, `inet`, ...
    package let family: String
    /// The name of the chain's table.
    package let table: String
    /// The name of the chain.
    package let name: String
    /// `filter`, `nat` or `route`.
    package let type: String
    /// `prerouting`, `input`, ...
    package let hook: String
    /// Whether the chain's policy is drop.
    package let dropsByDefault: Bool

    /// Reads the output of `nft -a list ruleset`; unknown lines are skipped.
    package static func parse(_ text: String) -> [NativeChain] {
        var chains: [NativeChain] = []
        var family = ""
        var table = ""
        var name = ""
        for line in text.split(separator: "\n") {
            let (line, _) = NativeRule.split(line.drop { $0 == " " || $0 == "\t" })
            let words = line.split { $0 == " " || $0 == ";" }
            if words.count >= 4, words[0] == "table", words.last == "{" {
                (family, table) = (String(words[1]), String(words[2]))
            } else if words.count == 3, words[0] == "chain", words[2] == "{" {
                name = String(words[1])
            } else if words.count >= 4, words[0] == "type", words[2] == "hook" {
                // "type filter hook input priority filter; policy drop;"
                chains.append(
                    NativeChain(
                        family: family, table: table, name: name, type: String(words[1]), hook: String(words[3]),
                        dropsByDefault: line.contains("policy drop;")))
            }
        }
        return chains
    }
}

extension Firewall {
    /// The rule or policy of an nft chain that drops the first packet of a connection to a port; nil if the packet can
    /// get through.
    ///
    /// Wherever a rule may let the packet through, it is assumed to do so: a reported drop is certain.
    func drop(_ port: UInt16, in chain: NativeChain) -> String? {
        let rules = native.filter { $0.family == chain.family && $0.table == chain.table }
        switch NativeWalk(port: port, rules: rules).walk(chain.name, depth: 0) {
        case .drops(let rule): return rule.text
        case .maybe: return nil
        case .goesOn: return chain.dropsByDefault ? "its policy" : nil
        }
    }
}

/// A walk of the first packet of a connection through the rules of a table.
private struct NativeWalk {
    enum End {
        /// This rule drops all such packets.
        case drops(NativeRule)
        /// Some or all such packets get through.
        case maybe
        /// Such packets reach the end of the chain.
        case goesOn
    }

    /// The greatest depth of jumps; the kernel allows no more (NFT_JUMP_STACK_SIZE).
    private static let deepest = 16

    let port: UInt16
    let rules: [NativeRule]

    func walk(_ chain: String, depth: Int) -> End {
        guard depth < Self.deepest else { return .maybe }
        // If some packets returned to the calling chain, that chain decides about them, even if the rest is dropped
        // here.
        var someReturned = false
        for rule in rules where rule.chain == chain && rule.mayConcern(port: port, .toPort) && rule.mayConcernNew {
            let isConditional = rule.isConditional
            var end = End.goesOn
            let verdict = rule.verdict
            switch verdict.name {
            case "accept", "queue", "vmap": return .maybe
            case "drop", "reject": end = .drops(rule)
            case "return": break
            case "jump", "goto": end = walk(verdict.target, depth: depth + 1)
            default: continue
            }
            switch end {
            case .maybe: return .maybe
            case .drops:
                if !isConditional { return someReturned ? .goesOn : end }
            case .goesOn:
                // A goto does not return to this chain.
                guard verdict.name != "jump" else { continue }
                guard isConditional else { return .goesOn }
                someReturned = true
            }
        }
        return .goesOn
    }
}

extension NativeRule {
    /// The words of the rule with quoted text blanked, such as a comment or the prefix of a log line.
    private var plainWords: [Substring] {
        text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .flatMap { $0.offset.isMultiple(of: 2) ? $0.element.split(separator: " ") : ["\"\""] }
    }

    /// The verdict of the rule and the chain that it leads to; empty if packets go on to the next rule.
    fileprivate var verdict: (name: Substring, target: String) {
        let words = plainWords
        // `tcp dport vmap { 22 : accept }`: each element has a verdict of its own.
        if words.contains("vmap") { return ("vmap", "") }
        let names: Set<Substring> = ["accept", "drop", "reject", "return", "jump", "goto", "queue"]
        guard let index = words.lastIndex(where: names.contains) else { return ("", "") }
        return (words[index], index + 1 < words.count ? String(words[index + 1]) : "")
    }

    /// Whether the rule can match the first packet of a connection that is not translated.
    fileprivate var mayConcernNew: Bool {
        // "ct state vmap { invalid : drop, established : accept, related : accept }"
        let words = text.split { $0 == " " || $0 == "," || $0 == "{" || $0 == "}" || $0 == ":" }
        guard !has("ct status dnat"), !has("ct status snat") else { return false }
        guard let key = words.indices.dropLast(2).first(where: { words[$0] == "ct" && words[$0 + 1] == "state" })
        else { return true }
        let states: Set<Substring> = ["new", "established", "related", "invalid", "untracked"]
        var values = words[(key + 2)...]
        if values.first == "vmap" { return values.contains("new") || values.contains { $0.hasPrefix("@") } }
        let isNegated = values.first == "!="
        if isNegated { values.removeFirst() }
        let named = values.prefix { states.contains($0) }
        return named.isEmpty || named.contains("new") != isNegated
    }

    /// Whether the rule tests more than the protocol, the port, and that the connection is new.
    fileprivate var isConditional: Bool {
        var words = plainWords.flatMap { $0.split(separator: ",") }[...]
        while let word = words.popFirst() {
            switch word {
            case "drop", "reject", "jump", "goto", "accept", "return": return false
            case "counter":
                // "counter packets 0 bytes 0"
                if words.first == "packets" { words = words.dropFirst(4) }
            case "log":
                // "log prefix "..." level info"
                while let next = words.first, ["prefix", "level", "flags", "group"].contains(next) {
                    words = words.dropFirst(2)
                }
            case "tcp", "th", "meta", "ct":
                guard let field = words.popFirst(),
                    word == "meta" ? field == "l4proto" : word == "ct" ? field == "state" : field == "dport"
                else { return true }
                if words.first == "!=" { words.removeFirst() }
                if words.first == "{" {
                    words = words.drop { $0 != "}" }.dropFirst()
                } else if word == "ct" {
                    words = words.drop { ["new", "established", "related", "invalid", "untracked"].contains($0) }
                } else {
                    words = words.dropFirst()
                }
            default: return true
            }
        }
        return false
    }
}
