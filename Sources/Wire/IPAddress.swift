// SPDX-License-Identifier: GPL-2.0-or-later

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
