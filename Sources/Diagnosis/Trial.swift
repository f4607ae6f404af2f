// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// A SYN that was sent as an experiment, and its answer.
package struct Trial: Equatable, Sendable {
    /// The kinds of experiments.
    package enum Kind: Equatable, Sendable {
        /// The code that the client's daemon should write according to the settings.
        case asConfigured
        /// The code bound to another address than the settings say.
        case address(AddressCandidate)
        /// The code of this many minutes later than this host's time.
        case minutesLater(Int)
        /// The code with the opposite time setting: without time, or with it if the settings do without.
        case otherTiming
        /// A number that is not a right code.
        case wrongCode
    }

    /// The kind of experiment.
    package let kind: Kind
    /// The answer.
    package let answer: TrialAnswer

    package init(_ kind: Kind, _ answer: TrialAnswer) {
        self.kind = kind
        self.answer = answer
    }
}
