// SPDX-License-Identifier: GPL-2.0-or-later

/// A rule, as nft(8) lists it.
package struct NativeRule: Equatable, Sendable {
    /// `ip`, `ip6`, `inet`, ...
    package let family: String
    /// The name of the rule's table.
    package let table: String
    /// The name of the rule's chain.
    package let chain: String
    /// The text of the rule.
    package let text: String
    /// The rule's handle in the kernel; nil if it was not listed.
    package var handle: Int?

    /// Splits a line into its text and the handle that `nft -a` appends: ` # handle 5`.
    static func split(_ line: Substring) -> (text: Substring, handle: Int?) {
        let mark = " # handle "
        guard let start = line.ranges(of: mark).last, let number = Int(line[start.upperBound...]) else {
            return (line, nil)
        }
        return (line[..<start.lowerBound], number)
    }

    /// Reads the output of `nft -a list ruleset`; unknown lines are skipped.
    package static func parse(_ text: String) -> [NativeRule] {
        var rules: [NativeRule] = []
        var family = ""
        var table = ""
        var chain: String?
        for line in text.split(separator: "\n") {
            let (line, handle) = split(line.drop { $0 == " " || $0 == "\t" })
            let words = line.split(separator: " ")
            if words.count >= 4, words[0] == "table", words.last == "{" {
                (family, table, chain) = (String(words[1]), String(words[2]), nil)
            } else if words.count == 3, words[0] == "chain", words[2] == "{" {
                chain = String(words[1])
            } else if line == "}" {
                chain = nil
            } else if let chain, !line.hasPrefix("type "), !line.hasPrefix("policy ") {
                rules.append(NativeRule(family: family, table: table, chain: chain, text: String(line), handle: handle))
            }
        }
        return rules
    }

    /// The rule and its place, for messages.
    package var description: String { "nft table \(family) \(table), chain \(chain): \(text)" }

    /// A command line that deletes the rule, or one that lists its handle, which nft needs for that, if it is not
    /// known.
    package var removal: String {
        let place = [family, table, chain].map(\.shellWord).joined(separator: " ")
        return handle.map { "nft delete rule \(place) handle \($0)" } ?? "nft -a list chain \(place)"
    }

    /// Whether the rule changes the destination of packets.
    ///
    /// The same words can occur in matches: `ct status dnat accept`, as firewalld has it, changes nothing.
    package var translatesDestination: Bool {
        ["dnat to", "dnat ip to", "dnat ip6 to", "dnat ip addr", "dnat ip6 addr", "tproxy"].contains(where: has)
            || has("redirect") && !has("type redirect")
    }

    /// Whether the rule changes the source of packets.
    package var translatesSource: Bool {
        ["masquerade", "snat to", "snat ip to", "snat ip6 to", "snat ip addr", "snat ip6 addr"].contains(where: has)
    }

    /// Whether the rule contains these words, separated by single spaces.
    package func has(_ words: String) -> Bool { " \(text) ".contains(" \(words) ") }

    /// Whether the rule can match packets to or from a TCP port; unknown conditions count as met.
    package func mayConcern(port: UInt16, _ direction: Rule.Direction) -> Bool {
        let words = text.replacing(",", with: " ").split(separator: " ")
        for (index, word) in words.enumerated() where word == (direction == .toPort ? "dport" : "sport") {
            guard index > 0, ["tcp", "th"].contains(words[index - 1]) else { return false }
            var values = words[(index + 1)...]
            let isNegated = values.first == "!="
            if isNegated { values.removeFirst() }
            let list = values.first == "{" ? values.dropFirst().prefix { $0 != "}" } : values.prefix(1)
            if let isThere = Self.contains(list, port), isThere == isNegated { return false }
        }
        return isForTCP(words) && !has("iif \"lo\"") && !has("iifname \"lo\"") && !has("oif \"lo\"")
            && !has("oifname \"lo\"")
    }

    /// Whether the rule is for TCP or for any protocol.
    private func isForTCP(_ words: [Substring]) -> Bool {
        guard !["icmp type", "icmpv6 type", "icmp code", "icmpv6 code"].contains(where: has) else { return false }
        for key in [["meta", "l4proto"], ["ip", "protocol"], ["ip6", "nexthdr"]] {
            for index in words.indices.dropLast(2) where Array(words[index...index + 1]) == key.map({ $0[...] }) {
                var values = words[(index + 2)...]
                let isNegated = values.first == "!="
                if isNegated { values.removeFirst() }
                let list = values.first == "{" ? values.dropFirst().prefix { $0 != "}" } : values.prefix(1)
                // A named set can contain anything.
                if list.contains(where: { $0.hasPrefix("@") }) { continue }
                if list.contains(where: { ["tcp", "6"].contains($0) }) == isNegated { return false }
            }
        }
        return true
    }

    /// Whether a list of ports and ranges, such as `22` `80-90`, contains a port; nil if a part of it cannot be read.
    private static func contains(_ list: ArraySlice<Substring>, _ port: UInt16) -> Bool? {
        var isThere = false
        for part in list {
            let ends = part.split(separator: "-").map { UInt16($0) }
            guard let first = ends.first, let last = ends.last, let first, let last else { return nil }
            isThere = isThere || first <= port && port <= last
        }
        return list.isEmpty ? nil : isThere
    }

    /// The queues that the rule sends packets to; nil if it sends them to none.
    package var queues: ClosedRange<UInt16>? {
        let words = text.split(separator: " ")
        guard let index = words.firstIndex(of: "queue") else { return nil }
        // `queue num 100-103 bypass`, `queue flags bypass,fanout to 100-103`
        guard let key = words[index...].firstIndex(where: { $0 == "num" || $0 == "to" }), key + 1 < words.count
        else { return 0...0 }
        let ends = words[key + 1].split(separator: "-").compactMap { UInt16($0) }
        guard let first = ends.first, let last = ends.last, first <= last else { return nil }
        return first...last
    }
}
