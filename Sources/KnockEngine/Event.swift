// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// A verdict to report to the user or to other parts of the daemon.
public struct Event: Equatable, Sendable {
    /// The connection.
    public let flow: Flow
    /// What happened.
    public let reason: Reason
    /// The key that the handshake was made with; nil if unknown.
    public let key: KeyID?
    /// The mask that the client asked for; only in events about its SYN.
    public let mode: MaskMode?
    /// When it happened.
    public let time: Instant

    public init(_ flow: Flow, _ reason: Reason, key: KeyID? = nil, mode: MaskMode? = nil, at time: Instant) {
        self.flow = flow
        self.reason = reason
        self.key = key
        self.mode = mode
        self.time = time
    }
}
