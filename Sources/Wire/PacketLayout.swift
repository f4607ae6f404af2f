// SPDX-License-Identifier: GPL-2.0-or-later

/// The positions of the parts of a validated packet in its bytes.
public struct PacketLayout: Equatable, Sendable {
    /// The family of the IP header.
    public let family: IPFamily
    /// The offset of the TCP header, in bytes.
    public let transportOffset: Int
    /// The length of the packet according to its IP header, in bytes.
    public let totalLength: Int

    @usableFromInline
    init(family: IPFamily, transportOffset: Int, totalLength: Int) {
        self.family = family
        self.transportOffset = transportOffset
        self.totalLength = totalLength
    }
}
