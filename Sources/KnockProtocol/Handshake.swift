// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// The values that both sides know from the SYN (docs/PROTOCOL.md §2).
public struct Handshake: Hashable, Sendable {
    /// `A`: the client's address as the server sees it, or all zeros for a roaming client.
    public let clientAddress: IPAddress
    /// `C`: the client's ISN.
    public let clientISN: UInt32

    @inlinable
    public init(clientAddress: IPAddress, clientISN: UInt32) {
        self.clientAddress = clientAddress
        self.clientISN = clientISN
    }

    /// Returns the handshake of a client that does not bind its code to an address: `A` is all zeros.
    @inlinable
    public static func roaming(clientISN: UInt32) -> Handshake {
        Handshake(clientAddress: IPAddress(high: 0, low: 0), clientISN: clientISN)
    }
}
