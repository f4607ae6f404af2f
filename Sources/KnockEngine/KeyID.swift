// SPDX-License-Identifier: GPL-2.0-or-later

/// Whose key a handshake was made with: on the server a guest's, on the client a target's.
///
/// While a daemon runs, no number is given to two: a guest whose key is changed is another one from then on.
public struct KeyID: Hashable, Sendable {
    /// The number.
    public let number: UInt32

    /// Takes the number.
    public init(_ number: UInt32) {
        self.number = number
    }
}
