// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Logging
import NetfilterQueue
import TestSupport
import Testing
import Wire

@testable import Daemon

@Suite("Lockouts that the kernel is to enforce") struct LockoutEnforcerTests {
    @Test("What this kernel cannot do is said in plain words") func missingFeature() {
        let text = LockoutEnforcer.text(SystemError("close sockets", EOPNOTSUPP))
        #expect(text.hasSuffix("this kernel lacks CONFIG_INET_DIAG_DESTROY, so they are cut off but not closed"))
        let other = SystemError("close sockets", EPERM)
        #expect(LockoutEnforcer.text(other) == other.description)
    }

    @Test("What the kernel refuses is logged, and the rest is done", arguments: IPFamily.allCases)
    func refused(_ family: IPFamily) async {
        await #expect(processExitsWith: .success) { [number = family.rawValue as UInt8] in
            let family = try #require(IPFamily(rawValue: number))
            let address = family == .ipv4 ? IPAddress(192, 0, 2, 1) : IPAddress(high: 0x2001_0db8 << 32, low: 1)
            let collector = LineCollector()
            let enforcer = LockoutEnforcer(logger: Logger(label: "test") { _ in collector })
            dropPrivileges()
            defer { regainPrivileges() }
            enforcer.enforce(on: address, ports: [54_321])
            let lines = collector.all
            try #require(lines.count == 2, "\(lines)")
            #expect(lines[0].hasPrefix("error tracked connections not removed: "))
            #expect(lines[1] == "notice connections closed {client=\(address) sockets=0 tracked=0}")
        }
    }
}
