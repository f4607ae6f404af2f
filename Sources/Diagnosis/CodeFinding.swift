// SPDX-License-Identifier: GPL-2.0-or-later

/// The result of examining the acknowledgment field of a SYN.
package enum CodeFinding: Equatable, Sendable {
    /// The field is 0: there is no code.
    case absent
    /// The code of a known key.
    case explained(CodeExplanation)
    /// A number that no known key explains.
    case unexplained
}
