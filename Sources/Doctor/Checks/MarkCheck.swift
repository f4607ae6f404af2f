// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings

/// A check for anything else that uses the bit that means 'verified', or that overwrites whole marks.
enum MarkCheck {
    private static let name = "mark"

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        return ForeignRuleCheck.findings(
            .mark, name, examination, isWell: "nothing else uses the bit \(subject.markText)",
            others: routing(examination) + knownSystems(examination)
        ) { rule in
            rule.isOfNFT
                ? "change that rule so that it leaves \(subject.markText) as it is (ct mark set ct mark and "
                    + "\(subject.markText) or ...), or give the daemon and its rules another --mark"
                : "give that rule a mask without \(subject.markText) (0x\(String(~subject.mark, radix: 16))), or the "
                    + "daemon and its rules another --mark"
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
                guard let value = parts.first.flatMap({ number($0) }), value & bit != 0 else { return nil }
                return Finding(
                    name, examination.subject.answersRefused ? .error : .warning,
                    "a routing rule takes packets with the bit \(examination.subject.markText) elsewhere: ip \(family) "
                        + "rule: \(line.replacing("\t", with: " "))",
                    cure: "give the daemon and its rules another --mark, or that routing rule another fwmark")
            }
        }
    }

    /// Parses `0x10` or `16`.
    private static func number(_ text: Substring) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }

    /// Programs that use some bits of the marks: the prefix of the interfaces that show their presence, and their bits.
    ///
    /// From their documentation, as in firewall/server.sh.
    private static let systems: [(interface: String, title: String, bits: UInt32)] = [
        ("kube-ipvs0", "kube-proxy", 0xc000), ("cilium_", "Cilium", 0xffff_0f00), ("cali", "Calico", 0xffff_0000),
        ("tailscale", "Tailscale", 0xff_0000), ("weave", "Weave", 0x2_0000), ("eni", "the AWS VPC plug-in", 0x80),
    ]

    private static func knownSystems(_ examination: Examination) -> [Finding] {
        let interfaces = examination.host.interfaces
        return systems.filter { system in
            system.bits & examination.subject.mark != 0 && interfaces.contains { $0.hasPrefix(system.interface) }
        }.map { system in
            Finding(
                name, .warning,
                "\(system.title) seems to be here, and uses the bit \(examination.subject.markText) too",
                cure:
                    "give the daemon and its rules another --mark; \(DoctorSubject.text(mark: SharedSettings.defaults.mark)) is free"
            )
        }
    }
}
