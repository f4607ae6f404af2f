// SPDX-License-Identifier: GPL-2.0-or-later

/// A likely cause of a failed handshake.
package struct LikelyReason: Equatable, Sendable {
    /// The causes, with the names that scripts use.
    package enum Cause: String, CaseIterable, Sendable {
        case clientDaemonMissing = "client-daemon-missing"
        case clientRulesMissing = "client-rules-missing"
        case clientOtherSettings = "client-other-settings"
        case clientNotUnmasking = "client-not-unmasking"
        case localFirewall = "local-firewall"
        case rejected = "rejected-on-the-way"
        case wrongKey = "wrong-key"
        case clock = "clock"
        case timeSetting = "time-setting"
        case natAddress = "nat-address"
        case codeChanged = "code-changed-on-the-way"
        case isnChanged = "isn-changed-on-the-way"
        case nonceChanged = "nonce-changed-on-the-way"
        case answerChanged = "answer-changed-on-the-way"
        case statefulBox = "stateful-box"
        case serverDaemonMissing = "server-daemon-missing"
        case serverUnprotected = "server-unprotected"
        case serviceDown = "service-down"
        case lockedOut = "locked-out"
        case signed = "signed-segments"
        case unreachable = "unreachable"
        case lost = "packet-lost"
    }

    /// The cause.
    package let cause: Cause
    /// A one-line description.
    package let text: String
    /// The observation that suggests it.
    package let evidence: String
    /// The recommended action.
    package let advice: String

    init(_ cause: Cause, _ text: String, evidence: String, advice: String) {
        self.cause = cause
        self.text = text
        self.evidence = evidence
        self.advice = advice
    }
}
