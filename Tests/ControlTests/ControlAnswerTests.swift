// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Control

@Suite struct ControlAnswerTests {
    @Test(
        "The first line of an answer",
        arguments: [
            ("ok", true, 0), ("ok 1", true, 1), ("error 69", false, 69),
        ] as [(String, Bool, Int32)])
    func head(_ line: String, _ isDone: Bool, _ status: Int32) throws {
        let head = try #require(ControlAnswer.head(line))
        #expect(head.isDone == isDone && head.status == status)
    }

    @Test("What is none", arguments: ["", "ok 0", "ok -1", "ok 126", "ok 1 2", "error", "error 0", "fine 1", "OK"])
    func noHead(_ line: String) { #expect(ControlAnswer.head(line) == nil) }
}
