// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage
internal import Wire

/// Looks for who is locked out now.
enum LockoutCheck {
    private static let name = "lockouts"
    /// So many addresses are named.
    private static let most = 10

    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        guard subject.role == .server else { return [] }
        let notes = examination.firewall.notes(of: .server)
        let expected = notes["sets"] != nil
        let queue = notes["queue-num"]?.first.map { String($0.prefix { $0 != ":" }) } ?? "\(subject.queues.lowerBound)"
        var findings: [Finding] = []
        for family in examination.families {
            let set = "tcpknock-\(queue)-\(family.rawValue)"
            switch examination.host.run(["ipset", "list", set]) {
            case .ended(0, let output, _, _):
                findings += members(output).prefix(most).map { member in
                    Finding(
                        name, .note, "\(member.address) is locked out for \(member.seconds) s more",
                        cure: "wait; or, if it is not an attack: ipset del \(set) \(member.address), and start "
                            + "tcpknock-server again, which remembers it too")
                }
            case .ended(_, _, let errors, _) where errors.contains("does not exist") && expected:
                findings.append(
                    Finding(
                        name, .warning, "the rules use the address set \(set), which does not exist",
                        cure: "\(subject.script("down")), then \(subject.script("up"))"))
            case .ended(_, _, let errors, _) where !errors.contains("does not exist") && examination.host.userID != 0:
                return [Examination.unseen(name, "who is locked out")]
            default:
                break
            }
        }
        return Examination.findings(findings, or: name, "nobody is in the address sets of locked-out clients")
    }

    /// The addresses in the output of `ipset list`, with the seconds that they stay.
    static func members(_ text: String) -> [(address: Substring, seconds: Int)] {
        text.split(separator: "\n").drop { $0 != "Members:" }.dropFirst().compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 3, words[1] == "timeout", let seconds = Int(words[2]) else { return nil }
            return (words[0], seconds)
        }
    }
}

/// Looks whether the rules come down soon, because nobody has confirmed them.
enum ConfirmationCheck {
    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        let namespace = (examination.host.link("/proc/self/ns/net") ?? "").filter(\.isNumber)
        // As `pending_file` of firewall/server.sh names it.
        switch examination.host.status("/run/tcpknock-firewall/confirm.\(namespace)") {
        case .success:
            return [
                Finding(
                    "confirmation", .warning, "the rules come down again soon: 'up --confirm' waits to be confirmed",
                    cure: "if a new connection gets in: \(examination.subject.script("confirm"))")
            ]
        case .failure(.noSuchFileOrDirectory):
            return [Finding("confirmation", .ok, "nothing waits to be confirmed")]
        case .failure:
            return [Examination.unseen("confirmation", "/run/tcpknock-firewall")]
        }
    }
}
