// SPDX-License-Identifier: GPL-2.0-or-later

/// The two address families of the Internet Protocol.
public enum IPFamily: UInt8, CaseIterable, Sendable {
    /// Internet Protocol version 4 (RFC 791).
    case ipv4 = 4
    /// Internet Protocol version 6 (RFC 8200).
    case ipv6 = 6
}

/// An address of either family, stored as 128 bits: IPv4 as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
public struct IPAddress: Hashable, Sendable {
    /// The first eight bytes, read in network byte order.
    public let high: UInt64
    /// The last eight bytes, read in network byte order.
    public let low: UInt64

    @inlinable @inline(__always)
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Creates an IPv4 address from its 32 bits, read in network byte order.
    @inlinable @inline(__always)
    public init(ipv4 address: UInt32) {
        self.init(high: 0, low: 0xffff_0000_0000 | UInt64(address))
    }

    /// Creates an IPv4 address from its four bytes in the usual order.
    @inlinable @inline(__always)
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// The family: IPv4 if the address is IPv4-mapped, otherwise IPv6.
    @inlinable @inline(__always)
    public var family: IPFamily {
        high == 0 && low >> 32 == 0xffff ? .ipv4 : .ipv6
    }

    /// The 32 bits of an IPv4 address, read in network byte order; nil for IPv6.
    @inlinable @inline(__always)
    public var ipv4: UInt32? {
        family == .ipv4 ? UInt32(truncatingIfNeeded: low) : nil
    }
}

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
