// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control

/// A check of whether the rules are about to come down because nobody has confirmed them.
enum ConfirmationCheck {
    static func run(_ examination: Examination) -> [Finding] {
        guard examination.subject.role == .server else { return [] }
        guard examination.firewall.status?.wanted == .unconfirmed else {
            return examination.findings(aboutRules: [], or: "confirmation", "nothing waits to be confirmed")
        }
        return [
            Finding(
                "confirmation", .warning, "the rules come down again soon: 'up --confirm' waits to be confirmed",
                cure: "if a new connection gets in: \(examination.subject.script("confirm"))")
        ]
    }
}
