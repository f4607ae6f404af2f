// SPDX-License-Identifier: GPL-2.0-or-later
internal import Settings

/// A hook to run.
struct HookJob: Sendable {
    let command: HookCommand
    let environment: [String: String]

    /// The name of the guest; empty if the hook does not belong to a guest.
    var guest: String { environment["TCPKNOCK_GUEST"] ?? "" }
}
