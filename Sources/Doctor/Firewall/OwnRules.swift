// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings
internal import Wire

/// A jump from a built-in chain to one of ours.
///
/// A role needs each for every port (firewall/server.sh, client.sh).
struct OwnHook {
    /// The table.
    let table: String
    /// The built-in chain.
    let chain: String
    /// Our chain.
    let target: String
    /// The direction of the packets that the jump takes.
    let direction: Rule.Direction
    /// The number of such jumps for each port.
    let count: Int

    /// Returns all jumps that a role needs.
    static func all(_ subject: DoctorSubject) -> [OwnHook] {
        let own = subject.installation.chainPrefix
        switch subject.role {
        case .server:
            let raw = OwnHook(table: "raw", chain: "PREROUTING", target: own + "RAW", direction: .toPort, count: 1)
            let rst = OwnHook(table: "raw", chain: "OUTPUT", target: own + "RST", direction: .fromPort, count: 1)
            return [
                OwnHook(table: "raw", chain: "PREROUTING", target: own + "UNMARK", direction: .toPort, count: 1),
                subject.answersRefused ? rst : raw,
                OwnHook(table: "mangle", chain: "PREROUTING", target: own + "IN", direction: .toPort, count: 1),
                OwnHook(table: "mangle", chain: "POSTROUTING", target: own + "OUT", direction: .fromPort, count: 1),
            ]
        case .client:
            return [
                OwnHook(table: "mangle", chain: "POSTROUTING", target: own + "OUT", direction: .toPort, count: 1),
                OwnHook(table: "raw", chain: "PREROUTING", target: own + "IN", direction: .fromPort, count: 1),
            ]
        }
    }

    /// The rules that make this jump for a port.
    func rules(in table: RuleTable, port: UInt16) -> [Rule] {
        table.rules(in: chain).filter { rule in
            rule.target == target
                && rule.value(direction == .toPort ? "--dport" : "--sport")?.text == "\(port)"
        }
    }
}

/// The expected contents of one of our chains.
struct OwnChain {
    /// The table.
    let table: String
    /// The name of the chain.
    let name: String
    /// The words that each rule must contain, in order of the rules; `@queue` stands for any rule that queues packets.
    let rules: [String]
    /// The words of other rules of ours that may be there.
    let optional: [String]

    /// Returns all chains of a role, for the configured mark.
    static func all(_ subject: DoctorSubject, _ family: IPFamily) -> [OwnChain] {
        let own = subject.installation.chainPrefix
        let bit = subject.markText
        let done = "-m mark --mark \(bit)/\(bit) -g \(own)DONE"
        guard subject.role == .server else {
            return [
                OwnChain(table: "mangle", name: own + "OUT", rules: [done, "-o lo -j RETURN", "@queue"], optional: []),
                OwnChain(table: "raw", name: own + "IN", rules: [done, "-i lo -j RETURN", "@queue"], optional: []),
            ]
        }
        let tellsVerified = "-m connmark --mark \(bit)/\(bit) -j MARK --set-xmark \(bit)/\(bit)"
        let raw = scoped(
            subject, family, table: "raw", name: "RAW", behind: "SIFT", before: ["-i lo -j RETURN"],
            rules: [
                "--tcp-flags FIN,SYN,RST,ACK SYN -m u32", "--tcp-flags FIN,SYN,RST,ACK SYN -j RETURN",
                "--tcp-flags SYN SYN -j DROP", "--tcp-flags RST,ACK NONE -j DROP",
            ], optional: ["-m bpf --object-pinned", "-m set --match-set"])
        let refusals = subject.answersRefused ? [] : ["--tcp-flags SYN NONE -m conntrack --ctstate NEW -j DROP"]
        let verified = "--tcp-flags SYN NONE -m connmark --mark \(bit)/\(bit) -j RETURN"
        let unmark = "-j MARK --set-xmark 0x0/\(bit)"
        let rst = [OwnChain(table: "raw", name: own + "RST", rules: ["-j CT --notrack", unmark], optional: [])]
        let chains = [
            subject.answersRefused ? rst : raw,
            scoped(
                subject, family, table: "mangle", name: "IN", behind: "JUDGE",
                before: [verified, done, "-i lo -j RETURN"],
                rules: refusals + [tellsVerified, "@queue"], optional: ["-j \(own)KEPT", verified]),
            scoped(
                subject, family, table: "mangle", name: "OUT", behind: "MASK", before: [done, "-o lo -j RETURN"],
                rules: ["-m conntrack --ctstate INVALID -j DROP", tellsVerified, "@queue"], optional: []),
        ]
        return chains.flatMap(\.self) + [
            OwnChain(table: "raw", name: own + "UNMARK", rules: [unmark], optional: []),
            OwnChain(
                table: "mangle", name: own + "DONE",
                rules: [
                    "--tcp-flags SYN,RST NONE -j CONNMARK --set-xmark \(bit)/\(bit)", unmark,
                ], optional: []),
        ]
    }

    /// Returns a chain in which only packets of protected places go on, and the chain that they go on in, if that is
    /// another.
    private static func scoped(
        _ subject: DoctorSubject, _ family: IPFamily, table: String, name: String, behind: String, before: [String],
        rules: [String], optional: [String]
    ) -> [OwnChain] {
        let own = subject.installation.chainPrefix
        let isOut = name == "OUT"
        let before = before + rulesForPlaces(subject.exempt, family, isSource: !isOut, isOut: isOut, "-j RETURN")
        guard subject.protect != [.own] else {
            let scope = "-m addrtype ! --\(isOut ? "src" : "dst")-type LOCAL -j RETURN"
            return [OwnChain(table: table, name: own + name, rules: before + [scope] + rules, optional: optional)]
        }
        let jumps = rulesForPlaces(
            subject.protect, family, isSource: isOut, isOut: isOut, "-g \(own)\(behind)")
        return [
            OwnChain(table: table, name: own + name, rules: before + jumps, optional: []),
            OwnChain(table: table, name: own + behind, rules: rules, optional: optional),
        ]
    }

    /// Returns a rule for each place of a family, in the order of the script.
    private static func rulesForPlaces(
        _ places: [Place], _ family: IPFamily, isSource: Bool, isOut: Bool, _ target: String
    ) -> [String] {
        let ofFamily = places.filter { ($0.family ?? family) == family }
        return ofFamily.sorted { $0.description < $1.description }.map { place in
            switch place {
            case .own: "-m addrtype --\(isSource ? "src" : "dst")-type LOCAL \(target)"
            case .interface(let name): "\(isOut ? "-o" : "-i") \(name) \(target)"
            case .prefix(let prefix) where prefix.description.hasSuffix("/0"): target
            case .prefix(let prefix): "\(isSource ? "-s" : "-d") \(prefix) \(target)"
            }
        }
    }

    /// Whether a rule matches a pattern.
    static func matches(_ rule: Rule, _ pattern: String) -> Bool {
        pattern == "@queue" ? rule.queues != nil : rule.has(sequence: pattern)
    }
}
