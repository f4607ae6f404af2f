// SPDX-License-Identifier: GPL-2.0-or-later

/// The result of examining the identification field or flow label of a SYN/ACK.
package enum ProofFinding: Equatable, Sendable {
    /// The field is 0, as ordinary servers send it: there is no proof.
    case absent
    /// A right proof.
    case explained(ProofExplanation)
    /// A number that proves nothing: from an ordinary server, or from one whose answer was changed on the way.
    case unexplained
}
