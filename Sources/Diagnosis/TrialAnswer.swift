// SPDX-License-Identifier: GPL-2.0-or-later

/// The answer to a SYN of an experiment.
package enum TrialAnswer: String, Sendable {
    /// No answer in time.
    case silence
    /// A RST.
    case refused
    /// A SYN/ACK whose proof holds.
    case proven
    /// A SYN/ACK whose proof does not hold.
    case unproven
}
