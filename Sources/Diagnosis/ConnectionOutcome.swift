// SPDX-License-Identifier: GPL-2.0-or-later

/// The outcome of the attempt to connect.
package enum ConnectionOutcome: Equatable, Sendable {
    /// The server accepted the third ACK and went on.
    case works
    /// This host's kernel has the connection; the server neither went on nor repeated its SYN/ACK.
    case unconfirmed
    /// This host's kernel has the connection, but the server repeats its SYN/ACK.
    case stalled
    /// This host's kernel never got the SYN/ACK with the true ISN, although it arrived at this host.
    case notUnmasked
    /// The SYN/ACK does not prove the key, so the attempt was abandoned before a third ACK.
    case withheld
    /// No SYN/ACK came.
    case silence
    /// A RST.
    case refused
    /// The attempt failed at once, for this reason.
    case failed(String)
}
