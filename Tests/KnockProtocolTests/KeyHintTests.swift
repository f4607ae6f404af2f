// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("The hint of a key") struct KeyHintTests {
    @Test("It is of the key and the slot") func distinct() {
        let slot = TimeSlot(unixSeconds: 1_710_000_000)
        let hints = [
            KeyHint(keys: TestKeys.published, slot: slot), KeyHint(keys: TestKeys.published, slot: slot.next),
            KeyHint(keys: TestKeys.other, slot: slot),
        ]
        #expect(Set(hints.map(\.number)).count == 3)
        #expect(hints[0] == KeyHint(keys: TestKeys.published, slot: slot))
    }

    @Test("A field of either family holds it, and is never 0", arguments: 0..<200 as Range<UInt64>)
    func fields(_ number: UInt64) {
        let hint = KeyHint(keys: TestKeys.published, slot: TimeSlot(number: number))
        #expect(hint.number != 0)
        let (ipv4, ipv6) = (hint.identifier(.ipv4), hint.identifier(.ipv6))
        #expect(ipv4 <= 0xffff)
        #expect(ipv6 <= 0xf_ffff)
        #expect(KeyHint.number(in: ipv4) == hint.number)
        #expect(KeyHint.number(in: ipv6) == hint.number)
    }

    @Test("All twenty bits of a flow label are used") func filling() {
        let labels = (0..<200 as Range<UInt64>).map {
            KeyHint(keys: TestKeys.published, slot: TimeSlot(number: $0)).identifier(.ipv6)
        }
        #expect(Set(labels.map { $0 >> 16 }).count == 16)
    }
}
