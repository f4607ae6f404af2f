// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// What to do with a packet, and why.
public struct Verdict: Equatable, Sendable {
    /// What to do with a packet.
    public enum Action: Equatable, Sendable {
        /// Passes the packet on unchanged.
        case accept
        /// Passes the packet on and marks its connection as verified (the rules read this from the packet mark).
        case acceptAsVerified
        /// Passes the packet on with these fields changed.
        case rewrite(HeaderRewrite)
        /// Drops the packet.
        case drop
        /// Drops the packet and answers with a RST, as a closed port would.
        case reset
    }

    /// What to do.
    public let action: Action
    /// Why.
    public let reason: Reason

    public init(_ action: Action, _ reason: Reason) {
        self.action = action
        self.reason = reason
    }
}
