// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
package import Wire

/// The two places in which the kernel keeps rules of iptables; neither shows the other's.
package enum Backend: String, CaseIterable, Sendable {
    /// iptables-nft.
    case nft
    /// iptables-legacy.
    case legacy
}

/// All tables of one family in one backend.
package struct RuleSet: Sendable {
    /// IPv4 or IPv6.
    package let family: IPFamily
    /// The backend that holds them.
    package let backend: Backend
    /// The tables.
    package var tables: [RuleTable]
    /// The program that changes these tables.
    package let program: String

    /// The table with this name; nil if there is none.
    package func table(_ name: String) -> RuleTable? { tables.first { $0.name == name } }

    /// A command line that deletes a rule.
    func removal(of rule: Rule, in table: RuleTable) -> String {
        let words = ["-t", table.name, "-D"] + RuleText.words(Substring(rule.text)).dropFirst()
        return ([program] + words).map(\.shellWord).joined(separator: " ")
    }
}

/// All firewall rules on the host.
package struct Firewall: Sendable {
    /// The tables of iptables.
    package var sets: [RuleSet] = []
    /// The rules of nft(8) that iptables does not show.
    package var native: [NativeRule] = []
    /// The base chains of nft(8) in tables that iptables does not show.
    package var nativeChains: [NativeChain] = []
    /// The parts that could not be read, and why.
    package var unread: [String] = []

    /// Reads all rules and changes nothing.
    package init(_ host: Host) {
        for family in IPFamily.allCases {
            for backend in Backend.allCases { read(family, backend, host) }
        }
        readNative(host)
    }

    private mutating func read(_ family: IPFamily, _ backend: Backend, _ host: Host) {
        let plain = family == .ipv4 ? "iptables" : "ip6tables"
        let name = "\(plain)-\(backend.rawValue)"
        if backend == .legacy {
            // Listing a legacy table creates it. iptables-legacy-save lists only the tables in this file.
            let names = host.read("/proc/net/\(family == .ipv4 ? "ip" : "ip6")_tables_names")
            if case .refused(let error) = names {
                unread.append("\(name): \(error)")
                return
            }
            guard let text = names.text, !text.isEmpty else { return }
        }
        var program = name
        var result = host.run(["\(name)-save"])
        if result == .missing {
            // A distribution with only one of the two may install it under the plain name alone.
            let version = host.run([plain, "--version"]).output
            if let version, version.contains("nf_tables") == (backend == .nft) {
                program = plain
                result = host.run(["\(plain)-save"])
            }
        }
        switch result {
        case .ended(0, let output, _, let isWhole):
            let (tables, _, isComplete) = RuleText.parse(output)
            sets.append(RuleSet(family: family, backend: backend, tables: tables, program: program))
            if !isWhole || !isComplete { unread.append("\(name): there are too many rules") }
        case .ended(_, _, let errors, _):
            // "iptables-nft-save v1.8.9 (nf_tables): Could not ...: Permission denied (you must be root)"
            let line = errors.split(separator: "\n").last ?? "it failed"
            let isRefused = line.contains("ermission denied") || line.contains("you must be root")
            unread.append("\(name): \(isRefused ? "permission denied" : line)")
        case .timeout:
            unread.append("\(name): it took too long")
        case .missing:
            if backend == .nft || host.run([plain, "--version"]) == .missing {
                unread.append("\(name): the program is missing (Debian package: iptables)")
            }
        }
    }

    private mutating func readNative(_ host: Host) {
        guard case .ended(0, let output, _, let isComplete) = host.run(["nft", "-a", "list", "ruleset"]) else { return }
        if !isComplete { unread.append("nft: there are too many rules") }
        let own = sets.filter { $0.backend == .nft }
        // iptables-nft-save has already listed these.
        func isSeen(_ family: String, _ table: String) -> Bool {
            own.contains { family == ($0.family == .ipv4 ? "ip" : "ip6") && $0.table(table) != nil }
        }
        native = NativeRule.parse(output).filter { !isSeen($0.family, $0.table) }
        nativeChains = NativeChain.parse(output).filter { !isSeen($0.family, $0.table) }
    }

    /// The sets of one family in which an installation has rules.
    package func sets(of installation: Installation, _ family: IPFamily) -> [RuleSet] {
        sets.filter { $0.family == family && $0.hasRules(of: installation) }
    }

    /// The names of all named servers that have rules.
    var instances: Set<String> {
        Set(sets.flatMap(\.tables).flatMap(\.policies.keys).compactMap { Installation.instance(ofChain: $0) })
    }

    /// The values that the rules of an installation were made with: each name in their chain of notes with all its
    /// values.
    package func notes(of installation: Installation) -> [String: [String]] {
        for set in sets where set.hasRules(of: installation) {
            for table in set.tables {
                var notes: [String: [String]] = [:]
                for rule in table.rules(in: installation.chainPrefix + "NOTE") {
                    guard let parts = rule.comments.first?.split(separator: "=", maxSplits: 1), parts.count == 2
                    else { continue }
                    notes[String(parts[0]), default: []].append(String(parts[1]))
                }
                if notes["queue-num"] != nil { return notes }
            }
        }
        return [:]
    }

    /// All rules that this project did not make, with their set and table.
    package var foreignRules: [(set: RuleSet, table: RuleTable, rule: Rule)] {
        sets.flatMap { set in
            set.tables.flatMap { table in
                table.rules.filter { !$0.isOurs }.map { (set, table, $0) }
            }
        }
    }
}

extension RuleSet {
    /// Whether an installation has any chain in this set.
    func hasRules(of installation: Installation) -> Bool {
        tables.contains { $0.policies.keys.contains { $0.hasPrefix(installation.chainPrefix) } }
    }
}

extension Rule {
    /// Whether the rule was made by one of this project's firewall scripts.
    package var isOurs: Bool {
        chain.hasPrefix("TCPKNOCK-") || target?.hasPrefix("TCPKNOCK-") == true
    }
}
