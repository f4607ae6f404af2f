// SPDX-License-Identifier: GPL-2.0-or-later

/// Identifies the key a handshake was made with: a guest's on the server, a target's on the client.
///
/// A number is never reused while a daemon runs: a guest whose key is changed gets a new one.
public struct KeyID: Hashable, Sendable {
    /// The number.
    public let number: UInt32

    public init(_ number: UInt32) {
        self.number = number
    }
}
