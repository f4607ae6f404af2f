// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine

/// An event that a hook can be run for.
///
/// The raw value is `TCPKNOCK_EVENT`.
package enum HookEvent: String, CaseIterable, Sendable {
    /// A connection was admitted.
    case admitted = "admit"
    /// An admitted connection has ended.
    case closed = "close"
    /// A client was locked out.
    case lockedOut = "lockout"
    /// A guest without ports has knocked.
    ///
    /// Running the hook is the only effect.
    case knocked = "knock"
}
