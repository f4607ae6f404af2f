// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct NonceSearchTests {
    private static func hasSolution(_ it: Conversation, isn: UInt32) -> Bool {
        NonceSearch.hasSolution(
            keys: it.keys, handshake: it.handshake, maskedISN: isn, mode: it.mode, family: it.family)
    }

    @Test("A sequence number that a holder of the key sent always has one", arguments: MaskMode.allCases)
    func sent(_ mode: MaskMode) {
        for serverISN in [0, 1, 0x9abc_def0, .max] as [UInt32] {
            let it = Conversation(mode: mode, serverISN: serverISN)
            #expect(Self.hasSolution(it, isn: it.maskedISN))
        }
    }

    // The expectation is 1 - 1/e, 0.63, of them; that all twelve have one is as improbable as 1 in 250, but these are
    // always the same twelve.
    @Test("Of other numbers some have none", arguments: MaskMode.allCases)
    func changed(_ mode: MaskMode) {
        let it = Conversation(mode: mode)
        let count = (1...12).count { Self.hasSolution(it, isn: it.maskedISN &+ UInt32($0) &* 0x9e37_79b9) }
        #expect((2...11).contains(count))
    }
}
