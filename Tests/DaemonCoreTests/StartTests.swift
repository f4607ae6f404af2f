// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import Logging
import Netfilter
import Program
import Settings
import TestSupport
import Testing

@testable import DaemonCore

@Suite("What a daemon begins with") struct StartTests {
    @Test func details() throws {
        let one = ServerSettings()
            .details(queues: 100...100, ports: [22, 443], fingerprint: "4863-6dae")
        #expect(one["queue"] == "100")
        #expect(one["ports"] == "22,443")
        #expect(one["key"] == "4863-6dae")
        #expect(one["version"] == "\(version)")
        let several = ServerSettings().details(queues: 100...103, ports: [22], fingerprint: nil)
        #expect(several["queue"] == "100:103")
        #expect(several["ports"] == "22")
        #expect(several["key"] == nil)
    }

    @Test(
        "A queue that cannot be bound",
        arguments: [
            (EPERM, .noPermission, "CAP_NET_ADMIN"), (EBUSY, .noPermission, "CAP_NET_ADMIN"),
            (ENOBUFS, .system, "bind queue: No buffer space available"),
        ] as [(Int32, Linux.ExitStatus, String)])
    func queue(_ number: Int32, _ status: Linux.ExitStatus, _ text: String) {
        // Nobody holds this queue, so that cannot be why.
        let error = Queue.explanation(of: SystemError("bind queue", number), binding: 54_321)
        #expect(error.status == status)
        #expect(error.description.contains("queue 54321"))
        #expect(error.description.contains(text))
    }

    @Test func bindingAQueueWithoutPrivileges() async {
        await #expect(processExitsWith: .success) {
            dropPrivileges()
            defer { regainPrivileges() }
            #expect {
                _ = try Queue.bind(54_321, Queue.Options())
            } throws: { error in
                let error = error as? FatalError
                return error?.status == .noPermission && error?.description.contains("CAP_NET_ADMIN") == true
            }
        }
    }
}
