// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import Netfilter
import TestSupport
import Testing
import Wire

/// What the kernel says to a process without CAP_NET_ADMIN; nothing here changes anything.
@Suite("Without privileges") struct PrivilegeTests {
    @Test func queueCannotBeBound() async {
        await #expect(processExitsWith: .success) {
            dropPrivileges()
            defer { regainPrivileges() }
            #expect(throws: SystemError("bind queue", EPERM)) {
                _ = try Queue(number: 54_321, options: Queue.Options())
            }
            #expect(Queue.owner(of: 54_321) == nil)
        }
    }

    @Test func trackedConnectionsCannotBeRemoved() async {
        await #expect(processExitsWith: .success) {
            dropPrivileges()
            defer { regainPrivileges() }
            #expect(throws: SystemError("list tracked connections", EPERM)) {
                try ConntrackTable.removeConnections(from: IPAddress(192, 0, 2, 1), toPorts: [1])
            }
        }
    }

    @Test func conntrackEventsCannotBeHeard() async {
        await #expect(processExitsWith: .success) {
            dropPrivileges()
            defer { regainPrivileges() }
            #expect(throws: SystemError("netlink bind", EPERM)) { _ = try ConntrackEvents() }
        }
    }

    @Test("There are no sockets to close", arguments: IPFamily.allCases)
    func noSockets(_ family: IPFamily) async {
        let isIPv4 = family == .ipv4
        await #expect(processExitsWith: .success) { [isIPv4 = isIPv4 as Bool] in
            dropPrivileges()
            defer { regainPrivileges() }
            let address = isIPv4 ? IPAddress(192, 0, 2, 1) : IPAddress(high: 0x2001_0db8 << 32, low: 1)
            let destroyed = try SocketDestroyer.destroyConnections(from: address, toPort: 1)
            #expect(destroyed == 0)
        }
    }
}
