// SPDX-License-Identifier: GPL-2.0-or-later

/// A range of addresses with a common prefix (CIDR, RFC 4632; RFC 4291 §2.3).
public struct IPPrefix: Hashable, Sendable {
    /// The first address: all bits after the prefix are zero.
    public let address: IPAddress
    /// The length of the prefix in bits, counted in the 128 bits of the mapped address for IPv4 too.
    public let mappedLength: Int

    /// Creates the prefix of an address; bits after the prefix are ignored.
    ///
    /// - Parameters:
    ///   - address: Any address in the prefix.
    ///   - length: The length in bits in the usual notation: 0...32 for IPv4, 0...128 for IPv6; otherwise nil results.
    public init?(_ address: IPAddress, length: Int) {
        let offset = address.family == .ipv4 ? 96 : 0
        guard length >= 0, length <= 128 - offset else { return nil }
        self.mappedLength = length + offset
        self.address = Self.masked(address, mappedLength)
    }

    /// Returns whether an address is in the prefix; an IPv4 address is never in an IPv6 prefix.
    public func contains(_ address: IPAddress) -> Bool {
        address.family == self.address.family && Self.masked(address, mappedLength) == self.address
    }

    private static func masked(_ address: IPAddress, _ length: Int) -> IPAddress {
        // Swift's smart shifts give 0 for a shift by the full width, which is what a length of 0 or 64 needs.
        let highMask = ~UInt64(0) << UInt64(64 - min(length, 64))
        let lowMask = ~UInt64(0) << UInt64(64 - max(length - 64, 0))
        return IPAddress(high: address.high & highMask, low: address.low & lowMask)
    }
}
