// SPDX-License-Identifier: GPL-2.0-or-later
import Settings
import Testing
import Wire

@Suite struct AddressTextTests {
    @Test(
        "Addresses as they are written, and as RFC 5952 has them written",
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("192.0.2.10", "192.0.2.10"), ("255.255.255.255", "255.255.255.255"),
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:db8::1", "2001:db8::1"),
            ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            // The longest run of zeros is shortened, the first of equal ones, and one group alone never.
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("FE80::200:5EFF:FE00:5301", "fe80::200:5eff:fe00:5301"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            // An IPv4-mapped address is the IPv4 address.
            ("::ffff:192.0.2.10", "192.0.2.10"), ("::ffff:c000:20a", "192.0.2.10"),
            ("64:ff9b::192.0.2.10", "64:ff9b::c000:20a"),
        ])
    func text(_ text: String, _ expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(expected) == address)
        #expect(address.family == (expected.contains(".") ? .ipv4 : .ipv6))
    }

    @Test func bits() {
        #expect(IPAddress("192.0.2.10") == IPAddress(192, 0, 2, 10))
        #expect(IPAddress("2001:db8:1:2:3:4:5:6") == IPAddress(high: 0x2001_0db8_0001_0002, low: 0x0003_0004_0005_0006))
    }

    @Test(
        "What is no address",
        arguments: [
            "", " ", "localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4",
            "0x7f.0.0.1", "1.2.3.4/24", "127.1", "2130706433", ":", ":::", "1::2::3", "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "12345::", "g::", "fe80::1%eth0", "[::1]", "::1/128", "::256.0.0.1", "192.0.2.10:22", "١.2.3.4",
            "1.2.3.4\n",
            "1.2.3.4\0", "::1\0", "1.2.3.4\0garbage",
        ])
    func garbage(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "Prefixes",
        arguments: [
            ("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.77/24", "192.0.2.0/24"), ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.10", "192.0.2.10/32"), ("192.0.2.10/32", "192.0.2.10/32"), ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"), ("::/0", "::/0"), ("2001:db8::ffff/64", "2001:db8::/64"),
        ])
    func prefix(_ text: String, _ expected: String) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.description == expected)
        #expect(IPPrefix(expected) == prefix)
    }

    @Test(
        "What is no prefix",
        arguments: [
            "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/-1", "192.0.2.0/+8",
            "192.0.2.0/ 8",
            "192.0.2.0/8/8", "192.0.2.0/255.255.255.0", "192.0.2.0/256", "192.0.2.0/a", "192.0.2/24", "::/٨", "host/24",
            "192.0.2.0//24",
        ])
    func garbagePrefix(_ text: String) {
        #expect(IPPrefix(text) == nil)
    }
}
