// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Testing

@testable import Linux

@Suite struct SystemErrorTests {
    @Test(
        "It reads as perror(3) writes it",
        arguments: [
            ("bind queue", EPERM, "bind queue: Operation not permitted"),
            ("send verdicts", EBUSY, "send verdicts: Device or resource busy"),
            ("x", ENOBUFS, "x: No buffer space available"),
        ] as [(String, Int32, String)])
    func description(_ call: String, _ number: Int32, _ text: String) {
        #expect(SystemError(call, number).description == text)
    }

    @Test func theErrorOfTheCallThatHasJustFailed() {
        let descriptor = open("/nonexistent/file", O_RDONLY)
        let error = SystemError("open")
        #expect(descriptor == -1)
        #expect(error == SystemError("open", ENOENT))
    }

    @Test func equality() {
        #expect(SystemError("a", EPERM) != SystemError("a", EBUSY))
        #expect(SystemError("a", EPERM) != SystemError("b", EPERM))
    }
}
