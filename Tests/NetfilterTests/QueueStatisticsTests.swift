// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import Netfilter

@Suite("The kernel's list of queues") struct QueueStatisticsTests {
    @Test func queues() throws {
        let queues = QueueStatistics.parse(
            """
              100  27889     3 2   512     5     7       41  1
              101 -4123     0 2   512     0     0        0  1
                7 4294963173     0 2   512     0     0        0  1
            """)
        #expect(queues.map(\.number) == [100, 101, 7])
        #expect(queues.map(\.holder) == [27889, 4_294_963_173, 4_294_963_173])
        let first = try #require(queues.first)
        #expect((first.waiting, first.droppedInQueue, first.droppedOnTheWay, first.packets) == (3, 5, 7, 41))
    }

    @Test(
        "Lines that are no queue",
        arguments: [
            "", "100", "100 1 0 2 512 0 0", "x 1 0 2 512 0 0 0 1", "70000 1 0 2 512 0 0 0 1",
            "1 99999999999 0 2 512 0 0 0 1", "1 1 x 2 512 0 0 0 1", "1 1 0 2 512 99999999999999999999999 0 0 1",
            "1 1 0 2 512 0 x 0 1", "1 1 0 2 512 0 0 x 1",
        ])
    func noQueue(_ line: String) {
        #expect(QueueStatistics.parse(line + "\n 2 1 0 2 512 0 0 0 1\n").map(\.number) == [2])
    }

    @Test("Noise never traps") func noise() {
        var generator = SeededGenerator("the list of queues")
        let alphabet = Array("0123456789 \t\n-".utf8)
        for _ in 0..<2000 {
            let bytes = (0..<200).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            #expect(QueueStatistics.parse(String(decoding: bytes, as: UTF8.self)).count <= 100)
        }
    }
}
