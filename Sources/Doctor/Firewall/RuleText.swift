// SPDX-License-Identifier: GPL-2.0-or-later

/// A table, as iptables-save(8) writes it.
package struct RuleTable: Equatable, Sendable {
    /// `raw`, `mangle`, `nat`, `filter` or `security`.
    package let name: String
    /// The names of its chains with their policies; `-` for user-defined chains.
    package var policies: [String: String] = [:]
    /// Its rules, in order.
    package private(set) var rules: [Rule] = []
    private var chains: [String: [Rule]] = [:]

    /// Creates a table without chains.
    init(name: String) {
        self.name = name
    }

    /// The rules of a chain, in order.
    package func rules(in chain: String) -> [Rule] { chains[chain] ?? [] }

    /// Adds a rule to the end of its chain.
    mutating func append(_ rule: Rule) {
        rules.append(rule)
        chains[rule.chain, default: []].append(rule)
    }
}

/// A parser of the text that iptables-save(8) writes.
package enum RuleText {
    /// Reads the text of all tables; lines that do not belong to the format are skipped.
    ///
    /// - Returns: The tables, the names of those that only nft(8) can show, and whether every table was complete.
    package static func parse(_ text: String) -> (tables: [RuleTable], foreign: [String], isComplete: Bool) {
        var tables: [RuleTable] = []
        var foreign: [String] = []
        var isOpen = false
        for line in text.split(separator: "\n") {
            switch line.first {
            case "*":
                guard !isOpen else { return (tables, foreign, false) }
                tables.append(RuleTable(name: String(line.dropFirst())))
                isOpen = true
            case "#" where line.contains("is incompatible, use 'nft' tool"):
                // "# Table `NAME' is incompatible, use 'nft' tool."
                foreign += line.split(separator: "`").dropFirst().first.map { [String($0.prefix { $0 != "'" })] } ?? []
            case ":" where isOpen:
                let words = line.dropFirst().split(separator: " ")
                if words.count >= 2 { tables[tables.count - 1].policies[String(words[0])] = String(words[1]) }
            case "-", "[":
                if isOpen, let rule = Rule(line) { tables[tables.count - 1].append(rule) }
            case "C" where line == "COMMIT":
                isOpen = false
            default:
                break
            }
        }
        return (tables, foreign, !isOpen)
    }

    /// Splits a line at spaces, as a shell would: `"..."` is one word, and a backslash in it escapes the next
    /// character.
    package static func words(_ line: Substring) -> [String] {
        var words: [String] = []
        var word = ""
        var isWord = false
        var isQuoted = false
        var isEscaped = false
        for character in line {
            if isEscaped {
                word.append(character)
                isEscaped = false
            } else if character == "\\", isQuoted {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
                isWord = true
            } else if character == " ", !isQuoted {
                if isWord { words.append(word) }
                (word, isWord) = ("", false)
            } else {
                word.append(character)
                isWord = true
            }
        }
        if isWord { words.append(word) }
        return words
    }
}
