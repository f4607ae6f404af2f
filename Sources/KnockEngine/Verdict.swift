// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// What is to be done with a packet, and why.
public struct Verdict: Equatable, Sendable {
    /// What is to be done with a packet.
    public enum Action: Equatable, Sendable {
        /// Lets it go on as it is.
        case accept
        /// Lets it go on as the segment that makes its connection verified (the packet mark says so to the rules).
        case acceptAsVerified
        /// Lets it go on with these fields changed.
        case rewrite(HeaderRewrite)
        /// Ends its way here.
        case drop
        /// Ends its way here, and is answered by a RST as by a closed port.
        case reset
    }

    /// What is to be done.
    public let action: Action
    /// Why.
    public let reason: Reason

    /// Joins an action and its reason.
    public init(_ action: Action, _ reason: Reason) {
        self.action = action
        self.reason = reason
    }
}
