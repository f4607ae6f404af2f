// SPDX-License-Identifier: GPL-2.0-or-later
import Testing
import Wire

@Suite struct IPAddressTests {
    @Test func ipv4IsMapped() {
        let address = IPAddress(192, 0, 2, 10)
        #expect(address.high == 0)
        #expect(address.low == 0x0000_ffff_c000_020a)
        #expect(address.family == .ipv4)
        #expect(address.ipv4 == 0xc000_020a)
        #expect(address == IPAddress(ipv4: 0xc000_020a))
        #expect(address == IPAddress(high: 0, low: 0x0000_ffff_c000_020a))
    }

    @Test(
        "Only the mapped range is IPv4",
        arguments: [
            (0, 0, .ipv6), (0, 1, .ipv6), (0, 0xc000_020a, .ipv6), (0, 0xffff_0000_0000, .ipv4),
            (0, 0xffff_ffff_ffff, .ipv4), (0, 0x1_0000_0000_0000, .ipv6), (0, 0xfffe_ffff_ffff, .ipv6),
            (0, 0x1_ffff_0000_0000, .ipv6), (1, 0xffff_0000_0000, .ipv6), (1 << 63, 0xffff_c000_020a, .ipv6),
        ] as [(UInt64, UInt64, IPFamily)])
    func family(_ high: UInt64, _ low: UInt64, _ family: IPFamily) {
        let address = IPAddress(high: high, low: low)
        #expect(address.family == family)
        #expect((address.ipv4 == nil) == (family == .ipv6))
    }

    @Test func familiesAreTheVersionsOfTheirHeaders() {
        #expect(IPFamily.allCases.map(\.rawValue) == [4, 6])
    }
}
