// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import NetfilterQueue
import TestSupport
import Testing
import Wire

/// Sets of the kernel, in network namespaces of processes of their own; ipset(8) makes them and looks into them.
@Suite(
    "Sets of addresses",
    .enabled(if: NetworkNamespace.obstacle == nil && system("ipset --version >/dev/null 2>&1") == 0))
struct AddressSetTests {
    fileprivate static func address(_ family: IPFamily) -> IPAddress {
        family == .ipv4 ? IPAddress(192, 0, 2, 1) : IPAddress(high: 0x2001_0db8 << 32, low: 1)
    }

    fileprivate static func isThere(_ address: IPAddress, in name: String) -> Bool {
        system("ipset -q test \(name) \(address) 2>/dev/null") == 0
    }

    @Test("An address comes in for some time, and goes again", arguments: IPFamily.allCases)
    func members(_ family: IPFamily) async {
        await #expect(processExitsWith: .success) { [number = family.rawValue as UInt8] in
            let address = Self.address(try #require(IPFamily(rawValue: number)))
            let (name, kind) = ("of-the-test", number == 4 ? "inet" : "inet6")
            NetworkNamespace.enterNew()
            NetworkNamespace.run("ipset create \(name) hash:ip family \(kind) timeout 1")
            #expect(!Self.isThere(address, in: name))
            try AddressSet.add(address, to: name, seconds: 3600)
            #expect(Self.isThere(address, in: name))
            // For another hour, not an error.
            try AddressSet.add(address, to: name, seconds: 7200)
            NetworkNamespace.run("ipset list \(name) | grep -Eq ' timeout 7(200|1[0-9][0-9])$'")
            try AddressSet.remove(address, from: name)
            #expect(!Self.isThere(address, in: name))
            // What is not there need not be taken out.
            try AddressSet.remove(address, from: name)
        }
    }

    @Test("A set that is not there, or of the other family")
    func otherSets() async {
        await #expect(processExitsWith: .success) {
            NetworkNamespace.enterNew()
            let address = Self.address(.ipv4)
            #expect(throws: SystemError("add to address set", ENOENT)) {
                try AddressSet.add(address, to: "nowhere", seconds: 1)
            }
            try AddressSet.remove(address, from: "nowhere")
            NetworkNamespace.run("ipset create other hash:ip family inet6 timeout 1")
            #expect(throws: SystemError.self) { try AddressSet.add(address, to: "other", seconds: 1) }
            NetworkNamespace.run("[ \"$(ipset list other | sed -n '/^Members/,$p' | wc -l)\" = 1 ]")
        }
    }

    @Test("Nobody without the right to changes a set")
    func unprivileged() async {
        await #expect(processExitsWith: .success) {
            NetworkNamespace.enterNew()
            NetworkNamespace.run("ipset create kept hash:ip timeout 1")
            try AddressSet.add(Self.address(.ipv4), to: "kept", seconds: 3600)
            dropPrivileges()
            #expect(throws: SystemError("take out of address set", EPERM)) {
                try AddressSet.remove(Self.address(.ipv4), from: "kept")
            }
            regainPrivileges()
            #expect(Self.isThere(Self.address(.ipv4), in: "kept"))
        }
    }
}
