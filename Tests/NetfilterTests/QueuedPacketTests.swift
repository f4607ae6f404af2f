// SPDX-License-Identifier: GPL-2.0-or-later
import Netfilter
import Testing

@Suite struct QueuedPacketTests {
    @Test func hooksHaveTheNumbersOfTheKernel() {
        #expect(NetfilterHook.prerouting.rawValue == 0)
        #expect(NetfilterHook.postrouting.rawValue == 4)
    }

    @Test func aPacketIsNotTakenForVerifiedUnlessSomebodySaysSo() {
        #expect(!QueuedPacket(hook: .prerouting, mark: 0).checksumVerified)
    }

    @Test(
        "A batch in which something went wrong",
        arguments: [
            (0, 0, 0, false), (1, 0, 0, true), (0, 1, 0, true), (0, 0, 1, true),
        ])
    func trouble(_ overflows: Int, _ refused: Int, _ malformed: Int, _ expected: Bool) {
        var trouble = QueueTrouble()
        (trouble.overflows, trouble.refusedVerdicts, trouble.malformedMessages) = (overflows, refused, malformed)
        #expect(trouble.isAny == expected)
        let once = trouble
        trouble += once
        #expect(trouble.overflows == 2 * overflows && trouble.refusedVerdicts == 2 * refused)
        #expect(trouble.malformedMessages == 2 * malformed)
    }

    @Test func options() {
        let options = Queue.Options()
        #expect(!options.failsOpen)
        #expect(options.copyRange == Queue.maximumCopyRange)
        #expect(Queue.maximumCopyRange == 65_531)
    }
}
