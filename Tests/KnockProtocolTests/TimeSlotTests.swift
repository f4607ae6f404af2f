// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import Testing

@Suite struct TimeSlotTests {
    @Test(
        "Slots begin at whole minutes",
        arguments: [
            (Int64.min, 0), (-61, 0), (-60, 0), (-1, 0), (0, 0), (59, 0), (60, 1), (119, 1), (120, 2),
            (1_709_999_999, 28_499_999), (1_710_000_000, 28_500_000), (1_710_000_059, 28_500_000),
            (1_710_000_060, 28_500_001), (4_294_967_295, 71_582_788), (4_294_967_340, 71_582_789),
            (Int64.max, 153_722_867_280_912_930),
        ] as [(Int64, UInt64)])
    func boundaries(_ seconds: Int64, _ number: UInt64) {
        #expect(TimeSlot(unixSeconds: seconds) == TimeSlot(number: number))
    }

    @Test func neighbours() {
        #expect(TimeSlot(number: 7).previous == TimeSlot(number: 6))
        #expect(TimeSlot(number: 7).next == TimeSlot(number: 8))
        #expect(TimeSlot(number: 0).previous == nil)
        #expect(TimeSlot(number: 1).previous == .timeless)
        #expect(TimeSlot(number: .max).next == TimeSlot(number: 0))
    }

    @Test func order() {
        #expect(TimeSlot(number: 1) < TimeSlot(number: 2))
        #expect(!(TimeSlot(number: 2) < TimeSlot(number: 2)))
        #expect(max(TimeSlot(number: 3), TimeSlot(number: 2)) == TimeSlot(number: 3))
    }

    @Test func theTimelessSlotIsNumberZero() {
        #expect(TimeSlot.timeless.number == 0)
        #expect(TimeSlot.seconds == 60)
    }
}
