// SPDX-License-Identifier: GPL-2.0-or-later
import Testing

@testable import Program

@Suite struct StandardStreamsTests {
    @Test func standardOutput() async throws {
        let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
            StandardOutput.write("ready\n")
            StandardOutput.write(String(repeating: "x", count: 100_000))
        }
        let text = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        #expect(text.contains("ready\n" + String(repeating: "x", count: 100_000)))
    }
}
