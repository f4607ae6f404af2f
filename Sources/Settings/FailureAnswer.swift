// SPDX-License-Identifier: GPL-2.0-or-later

/// The answer to a SYN without a right code.
package enum FailureAnswer: String, CaseIterable, Sendable {
    /// No answer.
    case drop
    /// The answer of a closed port.
    case reset
}
