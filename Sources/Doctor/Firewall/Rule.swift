// SPDX-License-Identifier: GPL-2.0-or-later

/// A rule, as iptables-save(8) writes it.
package struct Rule: Equatable, Sendable {
    /// The rule's chain.
    package let chain: String
    /// The words of its matches and target, without quotes and comments.
    package let words: [String]
    /// The values of its `--comment`s.
    package let comments: [String]
    /// The line as it was written, from `-A` on.
    package let text: String

    /// Reads a line that begins with `-A`, or with counters in brackets before it; nil for any other line.
    package init?(_ line: Substring) {
        var line = line
        if line.first == "[" {
            guard let end = line.firstIndex(of: "]") else { return nil }
            line = line[end...].dropFirst().drop { $0 == " " }
        }
        var words = RuleText.words(line)[...]
        guard words.popFirst() == "-A", let chain = words.popFirst() else { return nil }
        self.chain = chain
        text = String(line)
        var kept: [String] = []
        var comments: [String] = []
        while let word = words.popFirst() {
            if word == "--comment", let comment = words.popFirst() {
                comments.append(comment)
            } else if word == "-m", words.first == "comment" {
                words.removeFirst()
            } else {
                kept.append(word)
            }
        }
        self.words = kept
        self.comments = comments
    }

    /// The value after an option, or after one of its spellings; nil if it is absent.
    package func value(_ options: String...) -> (text: String, isNegated: Bool)? {
        guard let index = words.firstIndex(where: options.contains), index + 1 < words.count else { return nil }
        return (words[index + 1], index > 0 && words[index - 1] == "!")
    }

    /// Whether the rule contains a word.
    package func has(_ word: String) -> Bool { words.contains(word) }

    /// Whether the rule contains these words in this order, without others between.
    package func has(sequence: String) -> Bool {
        let wanted = sequence.split(separator: " ").map(String.init)
        guard !wanted.isEmpty, words.count >= wanted.count else { return false }
        return (0...words.count - wanted.count).contains { Array(words[$0..<$0 + wanted.count]) == wanted }
    }

    /// The target or chain that the rule leads to; nil for a rule that only counts.
    package var target: String? { value("-j", "-g")?.text }

    /// Whether the rule tests more than protocol and ports, and so does not match every packet of a port.
    package var isConditional: Bool {
        let plain: Set = [
            "-p", "-m", "tcp", "multiport", "--dport", "--dports", "--sport", "--sports", "--ports", "-j", "-g", "!",
        ]
        let matches = words.prefix { $0 != "-j" && $0 != "-g" }
        return matches.contains { $0.hasPrefix("-") && !plain.contains($0) }
    }
}

// MARK: The packets that a rule can match

extension Rule {
    /// The direction of a service's packets.
    package enum Direction: Sendable {
        /// To the port of the service.
        case toPort
        /// From the port of the service.
        case fromPort
    }

    /// Whether the rule can match packets to or from a TCP port that do not use the loopback interface.
    ///
    /// Unknown conditions count as met.
    package func mayConcern(port: UInt16, _ direction: Direction) -> Bool {
        if let (name, isNegated) = value("-p", "--protocol") {
            let isTCP = ["tcp", "6", "all", "0"].contains(name.lowercased())
            guard isTCP != isNegated else { return false }
        }
        for option in ["-i", "-o"] {
            if let (name, isNegated) = value(option), name == "lo", !isNegated { return false }
        }
        // The port at the other end can be any port.
        for option in direction == .toPort ? ["--dport", "--dports"] : ["--sport", "--sports"] {
            if let (list, isNegated) = value(option), let isThere = Self.contains(list, port), isThere == isNegated {
                return false
            }
        }
        return true
    }

    /// Whether a list of ports and ranges, such as `22,80:90`, contains a port; nil if a part of it cannot be read.
    private static func contains(_ list: String, _ port: UInt16) -> Bool? {
        var isThere = false
        for part in list.split(separator: ",") {
            let ends = part.split(separator: ":", omittingEmptySubsequences: false)
            guard let first = ends.first, let last = ends.last, ends.count <= 2,
                let low = first.isEmpty ? 0 : UInt16(first), let high = last.isEmpty ? 65535 : UInt16(last)
            else { return nil }
            isThere = isThere || low <= port && port <= high
        }
        return isThere
    }

    /// Whether the rule ends a packet's way through the table.
    package var isFinal: Bool {
        guard let target else { return false }
        return ["ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE", "STOLEN", "TPROXY", "REDIRECT", "DNAT"].contains(target)
    }

    /// The queues of an NFQUEUE target; nil for any other target.
    package var queues: ClosedRange<UInt16>? {
        guard target == "NFQUEUE" else { return nil }
        if let range = value("--queue-balance")?.text {
            let ends = range.split(separator: ":").compactMap { UInt16($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
        }
        guard let number = value("--queue-num")?.text else { return 0...0 }
        return UInt16(number).map { $0...$0 }
    }
}
