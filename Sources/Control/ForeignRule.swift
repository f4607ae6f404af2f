// SPDX-License-Identifier: GPL-2.0-or-later
/// A rule of another program that gets in the way of ours (firewall/foreign.awk).
package struct ForeignRule: Equatable, Sendable {
    /// What it does.
    package enum Effect: String, Decodable, Sendable {
        /// It is in the other iptables.
        case backend
        /// It decides before our rules.
        case order
        /// It leads past the knock.
        case bypass
        /// It drops what has been admitted.
        case filter
        /// It sends packets to our queue.
        case queue
        /// It uses our bit of the mark.
        case mark
        /// It excludes connections from connection tracking.
        case tracking
        /// It translates addresses or ports.
        case translation
    }

    package let effect: Effect
    /// `note`, `warning` or `error`.
    package let severity: String
    /// What it does, in words.
    package let what: String
    /// The place and text of the rule; empty if the effect is that of several.
    package let rule: String
    /// A command line that takes the rule out, or its effect away; empty if there is none.
    package let undo: String
    /// The port of a bypass; nil for other effects.
    package let port: UInt16?
    /// Whether a bypass ends when our rules come first again, which `server.sh up` achieves.
    package let yields: Bool

    /// Whether it is a rule of nft(8) that iptables does not show.
    package var isOfNFT: Bool { rule.hasPrefix("nft ") }

    /// What was found, in words.
    package var found: String { rule.isEmpty ? what : "\(what): \(rule)" }
}

extension ForeignRule: Decodable {
    private enum CodingKeys: String, CodingKey {
        case effect, severity, what, rule, undo, port
        case mendedBy = "mended_by"
    }

    package init(from decoder: any Decoder) throws {
        let json = try decoder.container(keyedBy: CodingKeys.self)
        effect = try json.decode(Effect.self, forKey: .effect)
        severity = try json.decode(String.self, forKey: .severity)
        what = try json.decode(String.self, forKey: .what)
        rule = try json.decodeIfPresent(String.self, forKey: .rule) ?? ""
        undo = try json.decodeIfPresent(String.self, forKey: .undo) ?? ""
        port = try json.decodeIfPresent(UInt16.self, forKey: .port)
        yields = try json.decodeIfPresent(String.self, forKey: .mendedBy) == "up"
    }
}
