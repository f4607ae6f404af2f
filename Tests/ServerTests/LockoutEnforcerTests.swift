// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import Logging
import Program
import Settings
import TestSupport
import Testing
import Wire

@testable import Server

@Suite("Lockouts that the kernel is to enforce") struct LockoutEnforcerTests {
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

    @Test("A lockout that the kernel does not let us enforce is explained, and no more")
    func lockoutWithoutPrivileges() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            dropPrivileges()
            defer { regainPrivileges() }
            let logger = Logger(label: "test") { _ in LogLineHandler(level: .debug, format: .text) }
            LockoutEnforcer(logger: logger)
                .enforce(on: IPAddress(192, 0, 2, 1), ports: [1])
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(
            text.contains("ERROR tracked connections not removed: list tracked connections: Operation not permitted"))
        #expect(text.contains("client=192.0.2.1"))
    }
}
