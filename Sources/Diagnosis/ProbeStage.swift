// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// A stage of a probed handshake.
package struct ProbeStage: Equatable, Sendable {
    /// The result of a stage.
    package enum State: String, Sendable {
        case ok
        case failed = "FAILED"
        case skipped = "-"
    }

    /// The stages, in order.
    package enum Name: String, CaseIterable, Sendable {
        case sent = "SYN sent"
        case coded = "code written"
        case answered = "SYN/ACK came"
        case proven = "server proven"
        case unmasked = "ISN unmasked"
        case accepted = "ACK accepted"
    }

    /// The stage.
    package let name: Name
    /// Its result.
    package let state: State
    /// What was observed.
    package let detail: String
}
