// SPDX-License-Identifier: GPL-2.0-or-later
import Logging
import Server
import TestSupport
import Testing

@Suite("How full a table is, in the log") struct RoomWatchTests {
    @Test("Each change is told once, and little ups and downs are none")
    func changes() {
        let collector = LineCollector()
        let logger = Logger(label: "test") { _ in collector }
        var watch = RoomWatch("used codes", whenFull: "no new connection begins")
        for taken in [0, 70, 79, 80, 79, 99, 81, 100, 99, 100, 75, 69, 79, 80] { watch.look(taken, of: 100, logger) }
        #expect(
            collector.all == [
                "warning the room for used codes is 80 % taken; when all is, no new connection begins {capacity=100 taken=80}",
                "error there is no room for more used codes: no new connection begins {capacity=100 taken=100}",
                "notice there is room for used codes again {capacity=100 taken=69}",
                "warning the room for used codes is 80 % taken; when all is, no new connection begins {capacity=100 taken=80}",
            ])
    }

    @Test("From little to full at once is one error, not a warning")
    func atOnce() {
        let collector = LineCollector()
        var watch = RoomWatch("used codes", whenFull: "x")
        watch.look(3, of: 3, Logger(label: "test") { _ in collector })
        #expect(collector.all == ["error there is no room for more used codes: x {capacity=3 taken=3}"])
    }
}
