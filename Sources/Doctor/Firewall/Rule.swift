// SPDX-License-Identifier: GPL-2.0-or-later

/// One rule, as iptables-save(8) writes it.
package struct Rule: Equatable, Sendable {
    /// The chain that it is in.
    package let chain: String
    /// Its matches and its target, word by word, without quotes and without its comment.
    package let words: [String]
    /// The values of its `--comment`s.
    package let comments: [String]
    /// The line as it was, from `-A` on.
    package let text: String

    /// Reads a line that begins with `-A`, or with counters in brackets before that; nil if it is none.
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

    /// The value behind an option, or behind one of its spellings; nil if it is not there.
    package func value(_ options: String...) -> (text: String, isNegated: Bool)? {
        guard let index = words.firstIndex(where: options.contains), index + 1 < words.count else { return nil }
        return (words[index + 1], index > 0 && words[index - 1] == "!")
    }

    /// Whether a word is there.
    package func has(_ word: String) -> Bool { words.contains(word) }

    /// Whether these words, with one space between, come one after the other.
    package func has(sequence: String) -> Bool {
        let wanted = sequence.split(separator: " ").map(String.init)
        guard !wanted.isEmpty, words.count >= wanted.count else { return false }
        return (0...words.count - wanted.count).contains { Array(words[$0..<$0 + wanted.count]) == wanted }
    }

    /// The chain or the target that it leads to; nil for a rule that only counts.
    package var target: String? { value("-j", "-g")?.text }

    /// Whether it looks at more than protocol, ports and interface, and so does not concern every packet of a port.
    package var isConditional: Bool {
        let plain: Set = [
            "-p", "-m", "tcp", "multiport", "--dport", "--dports", "--sport", "--sports", "--ports", "-j", "-g", "!",
        ]
        let matches = words.prefix { $0 != "-j" && $0 != "-g" }
        return matches.contains { $0.hasPrefix("-") && !plain.contains($0) }
    }
}

// MARK: Which packets it is about

extension Rule {
    /// The direction of packets of a service.
    package enum Direction: Sendable {
        /// To the port of the service.
        case toPort
        /// From the port of the service.
        case fromPort
    }

    /// Says whether it can match packets to or from a TCP port that do not go over loopback.
    ///
    /// Conditions that are not known are taken as met.
    package func mayConcern(port: UInt16, _ direction: Direction) -> Bool {
        if let (name, isNegated) = value("-p", "--protocol") {
            let isTCP = ["tcp", "6", "all", "0"].contains(name.lowercased())
            guard isTCP != isNegated else { return false }
        }
        for option in ["-i", "-o"] {
            if let (name, isNegated) = value(option), name == "lo", !isNegated { return false }
        }
        // The port at the other end can be any.
        for option in direction == .toPort ? ["--dport", "--dports"] : ["--sport", "--sports"] {
            if let (list, isNegated) = value(option), let isThere = Self.contains(list, port), isThere == isNegated {
                return false
            }
        }
        return true
    }

    /// Whether a list of ports and ranges, as `22,80:90`, has a port; nil if a part of it cannot be read.
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

    /// Whether it ends the way of a packet through the table.
    package var isFinal: Bool {
        guard let target else { return false }
        return ["ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE", "STOLEN", "TPROXY", "REDIRECT", "DNAT"].contains(target)
    }

    /// The queues of an NFQUEUE target; nil for another one.
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
