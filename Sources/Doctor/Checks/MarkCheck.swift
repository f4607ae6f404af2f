// SPDX-License-Identifier: GPL-2.0-or-later

/// A check for anything else that uses the bit that means 'verified', or that overwrites whole marks.
enum MarkCheck {
    private static let name = "mark"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        var findings: [Finding] = []
        let rules = examination.firewall.foreignRules(reachedBy: subject.targetPorts, [.toPort, .fromPort]) {
            MarkUse($0, bit: subject.mark) != nil
        }
        for (set, table, _, reached) in rules {
            let rule = reached.rule
            guard let use = MarkUse(rule, bit: subject.mark) else { continue }
            findings.append(
                Finding(
                    name, use.severity, "\(use.effect): \(set.program) -t \(table.name): \(rule.text)",
                    cure: "give that rule a mask without \(subject.markText) "
                        + "(\(MarkUse.text(~subject.mark))), or the daemon and its rules another --mark"))
        }
        findings += native(examination)
        findings += routing(examination)
        findings += knownSystems(examination)
        return examination.findings(aboutRules: findings, or: name, "nothing else uses the bit \(subject.markText)")
    }

    private static func native(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        return examination.firewall.native.compactMap { rule in
            guard
                subject.targetPorts.contains(where: {
                    rule.mayConcern(port: $0, .toPort) || rule.mayConcern(port: $0, .fromPort)
                }),
                let use = MarkUse(native: rule, bit: subject.mark)
            else { return nil }
            return Finding(
                name, use.severity, "\(use.effect): \(rule.description)",
                cure: "change that rule so that it leaves \(subject.markText) as it is (ct mark set ct mark and "
                    + "\(subject.markText) or ...), or give the daemon and its rules another --mark")
        }
    }

    /// Checks the rules of policy routing.
    ///
    /// They see the bit on RSTs from the daemon, and wherever another program copies connection marks to packets.
    private static func routing(_ examination: Examination) -> [Finding] {
        let bit = examination.subject.mark
        return ["-4", "-6"].flatMap { family -> [Finding] in
            let text = examination.host.run(["ip", family, "rule", "show"]).output ?? ""
            return text.split(separator: "\n").compactMap { line in
                let words = line.split { $0 == " " || $0 == "\t" }
                guard let index = words.firstIndex(of: "fwmark"), index + 1 < words.count else { return nil }
                let parts = words[index + 1].split(separator: "/")
                guard let value = parts.first.flatMap({ MarkUse.number($0) }), value & bit != 0 else { return nil }
                return Finding(
                    name, examination.subject.answersRefused ? .error : .warning,
                    "a routing rule takes packets with the bit \(examination.subject.markText) elsewhere: ip \(family) "
                        + "rule: \(line.replacing("\t", with: " "))",
                    cure: "give the daemon and its rules another --mark, or that routing rule another fwmark")
            }
        }
    }

    /// Programs that use some bits of the marks: the prefix of the interfaces that show their presence, and their bits.
    ///
    /// From their documentation, as in firewall/server.sh.
    private static let systems: [(interface: String, title: String, bits: UInt32)] = [
        ("kube-ipvs0", "kube-proxy", 0xc000), ("cilium_", "Cilium", 0xffff_0f00), ("cali", "Calico", 0xffff_0000),
        ("tailscale", "Tailscale", 0xff_0000), ("weave", "Weave", 0x2_0000), ("eni", "the AWS VPC plug-in", 0x80),
    ]

    private static func knownSystems(_ examination: Examination) -> [Finding] {
        let interfaces = examination.host.list("/sys/class/net")
        return systems.filter { system in
            system.bits & examination.subject.mark != 0 && interfaces.contains { $0.hasPrefix(system.interface) }
        }.map { system in
            Finding(
                name, .warning,
                "\(system.title) seems to be here, and uses the bit \(examination.subject.markText) too",
                cure: "give the daemon and its rules another --mark; 0x1000 is free")
        }
    }
}

/// What a rule does with our bit of a mark, or how it tests it.
struct MarkUse {
    let severity: Severity
    let effect: String
    /// Whether the rule can set the bit where the daemon has not verified anything.
    var verifies = false

    /// Examines a rule of iptables; nil if it does not concern our bit.
    init?(_ rule: Rule, bit: UInt32) {
        switch rule.target {
        case "CONNMARK":
            if let (value, mask) = Self.assignment(rule), (value | mask) & bit != 0 {
                self = .assignment(ofConnection: true, sets: value & bit != 0)
            } else if rule.has("--save-mark"), Self.mask(rule, "--ctmask") & bit != 0 {
                // The packets of a verified connection do not carry the bit; only the connection's mark does.
                self.init(
                    severity: .error, effect: "a rule copies packet marks, without our bit, to verified connections")
            } else if rule.has("--restore-mark"), Self.mask(rule, "--nfmask") & bit != 0 {
                self.init(severity: .warning, effect: "a rule copies our bit from connections to their packets")
            } else {
                return nil
            }
        case "MARK":
            // Rules in POSTROUTING come after ours.
            guard rule.chain != "POSTROUTING", let (value, _) = Self.assignment(rule), value & bit != 0
            else { return nil }
            self = .assignment(ofConnection: false, sets: true)
        default:
            guard let (text, _) = rule.value("--mark"), let (value, mask) = Self.pair(text), value & mask & bit != 0
            else { return nil }
            self.init(severity: .warning, effect: "a rule looks for our bit")
        }
    }

    /// Examines a rule of nft; nil if it does not concern our bit.
    init?(native rule: NativeRule, bit: UInt32) {
        for (words, ofConnection) in [("ct mark set ", true), ("meta mark set ", false)] {
            guard let place = rule.text.ranges(of: words).first else { continue }
            // Anything before it, except a counter, is a condition.
            let before = rule.text[..<place.lowerBound].split(separator: " ").filter { Int($0) == nil }
            let isForSome = before.contains { !["counter", "packets", "bytes"].contains($0) }
            let value = rule.text[place.upperBound...].split(separator: " ")
            guard let first = value.first else { continue }
            if let number = Self.number(first) {
                let use = MarkUse.assignment(ofConnection: ofConnection, sets: number & bit != 0)
                self.init(severity: isForSome ? min(use.severity, .warning) : use.severity, effect: use.effect)
                return
            }
            // `ct mark set ct mark | 0x10` or `... & 0xff`. Without an operator, the whole of another mark is copied.
            let rest = value.dropFirst(2)
            let operators = zip(rest, rest.dropFirst())
            let isHarmless =
                !rest.isEmpty && first == words.split(separator: " ").first
                && operators.allSatisfy { sign, text in
                    guard let number = Self.number(text) else { return true }
                    return ["&", "and"].contains(sign)
                        ? number & bit != 0 : !["|", "or", "^", "xor"].contains(sign) || number & bit == 0
                }
            guard !isHarmless else { continue }
            self.init(
                severity: !ofConnection ? .note : isForSome ? .warning : .error,
                effect: "a rule may overwrite our bit in the mark of \(ofConnection ? "connections" : "packets")")
            return
        }
        return nil
    }

    /// Whether a rule clears our bit on packets.
    static func clears(_ rule: Rule, bit: UInt32) -> Bool {
        guard rule.target == "MARK", let (value, mask) = assignment(rule) else { return false }
        return mask & bit != 0 && value & bit == 0
    }

    private init(severity: Severity, effect: String, verifies: Bool = false) {
        self.severity = severity
        self.effect = effect
        self.verifies = verifies
    }

    private static func assignment(ofConnection: Bool, sets: Bool) -> MarkUse {
        switch (ofConnection, sets) {
        case (true, true):
            MarkUse(
                severity: .error, effect: "a rule marks connections as verified that are not", verifies: true)
        case (true, false):
            MarkUse(severity: .error, effect: "a rule takes our bit out of verified connections, which cuts them off")
        case (false, true):
            MarkUse(
                severity: .error, effect: "a rule sets the bit that says 'verified' on packets", verifies: true)
        case (false, false):
            MarkUse(severity: .note, effect: "a rule overwrites the whole mark of packets, our bit with it")
        }
    }

    /// The value and mask of `--set-xmark`: the bits of the mask are cleared, then the value is XORed in.
    private static func assignment(_ rule: Rule) -> (value: UInt32, mask: UInt32)? {
        rule.value("--set-xmark", "--set-mark").flatMap { pair($0.text) }
    }

    private static func mask(_ rule: Rule, _ option: String) -> UInt32 {
        (rule.value(option)?.text).flatMap { number(Substring($0)) } ?? .max
    }

    /// Parses `0x1/0xff`, or `0x1`, which means all bits.
    private static func pair(_ text: String) -> (value: UInt32, mask: UInt32)? {
        let parts = text.split(separator: "/")
        guard let value = parts.first.flatMap({ number($0) }) else { return nil }
        return (value, parts.count > 1 ? number(parts[1]) ?? .max : .max)
    }

    /// Parses `0x10` or `16`.
    static func number(_ text: Substring) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }

    /// Formats a number as `0x10`.
    static func text(_ number: UInt32) -> String { "0x" + String(number, radix: 16) }
}
