// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// What both sides know of a handshake from its SYN (docs/PROTOCOL.md §2).
package struct Handshake: Hashable, Sendable {
    /// `A`: the client's address as the server sees it, or all zero for a client that roams.
    package let clientAddress: IPAddress
    /// `C`: the client's ISN.
    package let clientISN: UInt32

    /// Takes the client's address as the server sees it, and the client's ISN.
    @inlinable
    package init(clientAddress: IPAddress, clientISN: UInt32) {
        self.clientAddress = clientAddress
        self.clientISN = clientISN
    }

    /// The handshake of a client that does not bind its code to an address: `A` is all zero.
    @inlinable
    package static func roaming(clientISN: UInt32) -> Handshake {
        Handshake(clientAddress: IPAddress(high: 0, low: 0), clientISN: clientISN)
    }
}
