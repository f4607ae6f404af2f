// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol

/// A handshake whose code has been used, and the key it was made with.
public struct UsedCode: Hashable, Sendable {
    /// `A` and `C`.
    public let handshake: Handshake
    /// The key that the code was made with.
    public let key: KeyID

    public init(handshake: Handshake, key: KeyID) {
        self.handshake = handshake
        self.key = key
    }
}
