// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing

@testable import KnockEngine

@Suite("Slots of which codes were used") struct SlotSpanTests {
    private static func slot(_ number: UInt64) -> TimeSlot { TimeSlot(number: number) }

    private static func instant(minute: UInt64, uptime: UInt64) -> Instant {
        Instant(unixSeconds: Int64(minute) * 60, uptime: uptime)
    }

    @Test("A slot is retired as soon as the first of its codes may be forgotten") func retires() {
        var slots = UsedSlots(lifetime: 180_000)
        #expect(slots.position(of: Self.slot(100)) == nil)
        let span = slots.begin(Self.slot(100), at: Self.instant(minute: 100, uptime: 1000))
        #expect(span == SlotSpan(Self.slot(100), Self.slot(100), retires: 181_000))
        #expect(slots.position(of: Self.slot(100)).map { slots.isRetired($0, at: 180_999) } == false)
        #expect(slots.position(of: Self.slot(100)).map { slots.isRetired($0, at: 181_000) } == true)
        #expect(slots.position(of: Self.slot(99)) == nil)
        #expect(slots.position(of: Self.slot(101)) == nil)
    }

    @Test("While the clock goes right there are few spans, whatever is used") func few() {
        var slots = UsedSlots(lifetime: 180_000)
        for minute in 1000..<3000 as Range<UInt64> {
            let now = Self.instant(minute: minute, uptime: minute * 60_000)
            for slot in [now.slot.previous, now.slot, now.slot.next].compactMap(\.self) {
                guard let position = slots.position(of: slot) else {
                    _ = slots.begin(slot, at: now)
                    continue
                }
                #expect(!slots.isRetired(position, at: now.uptime))
            }
            #expect(slots.spans.count <= 5)
        }
    }

    @Test("Whatever the clock does, no used slot is lost, none is retired too late, and spans are few")
    func chaos() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<50 {
            var slots = UsedSlots(lifetime: 180_000)
            var retires: [TimeSlot: UInt64] = [:]
            var now = Self.instant(minute: 5000, uptime: 1)
            for _ in 0..<200 {
                now.uptime += UInt64.random(in: 0...100_000, using: &random)
                let minute = UInt64.random(in: 0...(Bool.random(using: &random) ? 10_000 : 60), using: &random)
                now.unixSeconds = Int64(minute) * 60
                let slot = Bool.random(using: &random) ? now.slot : now.slot.next
                if slots.position(of: slot) == nil {
                    #expect(slots.begin(slot, at: now).retires == now.uptime + 180_000)
                    retires[slot] = now.uptime + 180_000
                }
                #expect(slots.spans.count <= UsedSlots.mostSpans)
                for (before, after) in zip(slots.spans, slots.spans.dropFirst()) { #expect(before.last < after.first) }
                for (slot, latest) in retires {
                    guard let position = slots.position(of: slot) else {
                        Issue.record("\(slot) is lost")
                        continue
                    }
                    #expect(slots.spans[position].retires <= latest)
                }
            }
        }
    }

    @Test("The nearest are joined, but never over the slots of now") func joins() {
        var slots = UsedSlots(lifetime: 180_000)
        let now = Self.instant(minute: 5000, uptime: 1_000_000)
        // Before and after now, close to it; all others are far from each other.
        let numbers = [4990, 5010] + (1...15).map { 10_000 + UInt64($0) * 1000 }
        for number in numbers { slots.insert(SlotSpan(Self.slot(number), Self.slot(number), retires: 0), at: now) }
        #expect(slots.spans.count == UsedSlots.mostSpans)
        for number in 4991...5009 as ClosedRange<UInt64> { #expect(slots.position(of: Self.slot(number)) == nil) }
        #expect(slots.spans[2] == SlotSpan(Self.slot(11_000), Self.slot(12_000), retires: 0))
    }

    @Test("What overlaps becomes one, and is retired with the earlier") func overlap() {
        var slots = UsedSlots(lifetime: 180_000)
        let now = Self.instant(minute: 5000, uptime: 1000)
        slots.insert(SlotSpan(Self.slot(10), Self.slot(20), retires: 5000), at: now)
        slots.insert(SlotSpan(Self.slot(30), Self.slot(40), retires: 4000), at: now)
        slots.insert(SlotSpan(Self.slot(35), Self.slot(15), retires: 6000), at: now)
        #expect(slots.spans == [SlotSpan(Self.slot(10), Self.slot(40), retires: 4000)])
        slots.retireAll()
        #expect(slots.spans == [SlotSpan(Self.slot(10), Self.slot(40), retires: 0)])
        slots.insert(SlotSpan(Self.slot(41), Self.slot(.max), retires: 0), at: now)
        #expect(slots.spans == [SlotSpan(Self.slot(10), Self.slot(.max), retires: 0)])
    }
}
