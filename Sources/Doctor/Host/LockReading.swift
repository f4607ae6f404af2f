// SPDX-License-Identifier: GPL-2.0-or-later
internal import Netfilter

/// A daemon's answer about lockouts.
package enum LockReading: Equatable, Sendable {
    /// One line for each lockout, as `tcpknock locks` prints it.
    case list([String])
    /// This user may not ask.
    case refused
    /// The daemon does not answer.
    case silent
}
