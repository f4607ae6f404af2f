// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// One of our own rules.
package struct FirewallRule: Equatable, Sendable {
    package let family: IPFamily
    /// `mangle` or `raw`.
    package let table: String
    /// The rule, as iptables-save(8) writes it: `-A TCPKNOCK-SRV-IN ...`.
    package let text: String

    /// Parses `IPv4 mangle -A TCPKNOCK-SRV-IN ...`; nil if the text is of another form.
    package init?(_ text: String) {
        let words = text.split(separator: " ", maxSplits: 2).map(String.init)
        guard words.count == 3, let family = IPFamily.allCases.first(where: { "IPv\($0.rawValue)" == words[0] })
        else { return nil }
        (self.family, table, self.text) = (family, words[1], words[2])
    }

    /// The words of the rule after `-A`.
    private var words: [Substring] { text.split(separator: " ").dropFirst().map(\.self) }

    /// The name of its chain.
    package var chain: String { words.first.map(String.init) ?? "" }

    /// Whether it is in a chain of ours, not a jump to one.
    package var isInOurChain: Bool { chain.hasPrefix("TCPKNOCK-") }

    /// The port at this host, or at the servers of a client; nil if the rule is for any port.
    package var port: UInt16? {
        words.firstIndex { $0 == "--dport" || $0 == "--sport" }.flatMap { index in
            words.indices.contains(index + 1) ? UInt16(words[index + 1]) : nil
        }
    }

    /// Whether it sends packets to a queue, and whether they pass while nobody reads from that queue; nil if it does
    /// not.
    package var bypassesQueue: Bool? { words.contains("NFQUEUE") ? words.contains("--queue-bypass") : nil }
}

extension FirewallRule: Decodable {
    package init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        guard let rule = FirewallRule(try value.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no rule")
        }
        self = rule
    }
}
