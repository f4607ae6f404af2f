// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control

/// A check of whether this host itself translates what the daemon judges.
///
/// After a translation of the destination, a SYN/ACK comes from another port, and the daemon never sees it. One of the
/// source happens after the client's hook, so the code is for an address that servers do not see.
enum TranslationCheck {
    static func run(_ examination: Examination) -> [Finding] {
        let subject = examination.subject
        let isWell = "this host does not translate what the daemon judges"
        guard subject.role == .server || subject.natAddresses.isEmpty && !subject.isRoaming else {
            return examination.findings(aboutRules: [], or: "nat", isWell)
        }
        return ForeignRuleCheck.findings(.translation, "nat", examination, isWell: isWell) { rule in
            subject.role == .server
                ? "protect the service where its address and port are final, or take the translation out: \(rule.undo)"
                : "if it meets connections to protected servers, give \(subject.role.program) the address that they see: "
                    + "--nat-ip ADDRESS"
        }
    }

    /// Whether rules of this host can change the source of its own connections.
    static func translates(_ examination: Examination) -> Bool {
        examination.firewall.status?.foreign.contains { $0.effect == .translation } ?? false
    }
}
