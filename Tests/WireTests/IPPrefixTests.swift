// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct IPPrefixTests {
    private static let ipv4 = IPAddress(192, 0, 2, 129)
    private static let ipv6 = IPAddress(high: 0x2001_0db8_ffff_fffe, low: 0x8000_0000_0000_0001)

    @Test("Lengths that there are not", arguments: [Int.min, -1, 33, 64, 96, 128, 129, Int.max])
    func refusedIPv4Lengths(_ length: Int) {
        #expect(IPPrefix(Self.ipv4, length: length) == nil)
    }

    @Test("Lengths that there are not", arguments: [Int.min, -1, 129, 256, Int.max])
    func refusedIPv6Lengths(_ length: Int) {
        #expect(IPPrefix(Self.ipv6, length: length) == nil)
    }

    @Test("Each length of IPv4", arguments: 0...32)
    func ipv4Lengths(_ length: Int) throws {
        try Self.check(Self.ipv4, length: length, firstBit: 96)
    }

    @Test("Each length of IPv6", arguments: 0...128)
    func ipv6Lengths(_ length: Int) throws {
        try Self.check(Self.ipv6, length: length, firstBit: 0)
    }

    /// Turns each bit over: the prefix still holds the address just if the bit lies behind it.
    private static func check(_ address: IPAddress, length: Int, firstBit: Int) throws {
        let prefix = try #require(IPPrefix(address, length: length))
        #expect(prefix.contains(address))
        #expect(prefix.contains(prefix.address))
        #expect(prefix.mappedLength == firstBit + length)
        #expect(IPPrefix(prefix.address, length: length) == prefix)
        for bit in firstBit..<128 {
            let other = turned(address, bit)
            guard other.family == address.family else { continue }
            #expect(prefix.contains(other) == (bit - firstBit >= length), "bit \(bit)")
            if bit - firstBit >= length { #expect(IPPrefix(other, length: length) == prefix, "bit \(bit)") }
        }
    }

    private static func turned(_ address: IPAddress, _ bit: Int) -> IPAddress {
        bit < 64
            ? IPAddress(high: address.high ^ 1 << UInt64(63 - bit), low: address.low)
            : IPAddress(high: address.high, low: address.low ^ 1 << UInt64(127 - bit))
    }

    @Test("A prefix of one family holds nothing of the other")
    func families() throws {
        let allIPv4 = try #require(IPPrefix(IPAddress(0, 0, 0, 0), length: 0))
        let allIPv6 = try #require(IPPrefix(IPAddress(high: 0, low: 0), length: 0))
        #expect(allIPv4.contains(IPAddress(255, 255, 255, 255)))
        #expect(!allIPv4.contains(Self.ipv6))
        #expect(!allIPv4.contains(IPAddress(high: 0, low: 0xc000_020a)))
        #expect(allIPv6.contains(Self.ipv6))
        #expect(!allIPv6.contains(Self.ipv4))
    }

    @Test("The network of documentation")
    func boundaries() throws {
        let prefix = try #require(IPPrefix(IPAddress(192, 0, 2, 77), length: 24))
        #expect(prefix.address == IPAddress(192, 0, 2, 0))
        #expect(!prefix.contains(IPAddress(192, 0, 1, 255)))
        #expect(prefix.contains(IPAddress(192, 0, 2, 0)))
        #expect(prefix.contains(IPAddress(192, 0, 2, 255)))
        #expect(!prefix.contains(IPAddress(192, 0, 3, 0)))
    }
}
