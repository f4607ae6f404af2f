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
            (false, 0, 0, false), (true, 0, 0, true), (false, 1, 0, true), (false, 0, 1, true),
        ])
    func trouble(_ overflowed: Bool, _ refused: Int, _ malformed: Int, _ expected: Bool) {
        var batch = ReceivedBatch()
        batch.packets = 5
        (batch.overflowed, batch.refusedVerdicts, batch.malformedMessages) = (overflowed, refused, malformed)
        #expect(batch.hasTrouble == expected)
    }

    @Test func options() {
        let options = Queue.Options()
        #expect(!options.failsOpen)
        #expect(options.copyRange == Queue.maximumCopyRange)
        #expect(Queue.maximumCopyRange == 65_531)
    }
}
