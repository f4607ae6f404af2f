// SPDX-License-Identifier: GPL-2.0-or-later

/// What the kernel knows about a packet besides its bytes.
public struct PacketFacts: Sendable {
    /// Whether the kernel has verified the TCP checksum.
    public var checksumVerified: Bool
    /// Whether this program's bit of the packet mark is set.
    ///
    /// On the server, the firewall rules set it on packets of a verified connection (docs/PROTOCOL.md §6.4).
    /// On the client, it means that the packet has been through the queue before.
    public var isMarked: Bool

    public init(checksumVerified: Bool = false, isMarked: Bool = false) {
        self.checksumVerified = checksumVerified
        self.isMarked = isMarked
    }
}
