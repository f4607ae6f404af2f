// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// What both sides know of a handshake from its SYN (docs/PROTOCOL.md §2).
package struct Handshake: Hashable, Sendable {
    /// `A`: the client's address as the server sees it.
    package let clientAddress: IPAddress
    /// `C`: the client's ISN.
    package let clientISN: UInt32

    /// Takes the client's address as the server sees it, and the client's ISN.
    @inlinable
    package init(clientAddress: IPAddress, clientISN: UInt32) {
        self.clientAddress = clientAddress
        self.clientISN = clientISN
    }
}
