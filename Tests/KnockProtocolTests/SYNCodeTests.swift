// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct SYNCodeTests {
    private static let client = IPAddress(192, 0, 2, 10)

    private static func code(_ clientISN: UInt32, _ slot: TimeSlot = .timeless) -> SYNCode {
        SYNCode(
            keys: TestKeys.published, handshake: Handshake(clientAddress: client, clientISN: clientISN), slot: slot)
    }

    @Test("A code tells the mode it asks for")
    func modes() {
        let code = Self.code(0x1234_5678)
        #expect(code.mode(of: code.full) == .full)
        #expect(code.mode(of: code.windowed) == .windowed)
    }

    @Test("No other code does: each bit flipped")
    func flippedBits() {
        let code = Self.code(0x1234_5678)
        for bit in UInt32(0)..<32 {
            #expect(code.mode(of: code.full ^ 1 << bit) == nil)
            #expect(code.mode(of: code.windowed ^ 1 << bit) == nil)
        }
        for other: UInt32 in [0, 1, 0xffff_ffff, ~code.full, code.full.byteSwapped] {
            #expect(code.mode(of: other) == nil)
        }
    }

    // C is the first number for which both halves of the hash are the same; found by trying.
    @Test("A code that asks for both modes is full")
    func bothModes() {
        let code = Self.code(0x45bd_d7b4)
        #expect(code.full == 0xa28c_d1ef)
        #expect(code.windowed == 0xa28c_d1ef)
        #expect(code.mode(of: code.full) == .full)
    }

    @Test("Codes of other slots, clients and keys are others")
    func dependencies() {
        let code = Self.code(5, TimeSlot(number: 9))
        #expect(code != Self.code(5, TimeSlot(number: 10)))
        #expect(code != Self.code(6, TimeSlot(number: 9)))
        let handshake = Handshake(clientAddress: Self.client, clientISN: 5)
        #expect(code != SYNCode(keys: TestKeys.other, handshake: handshake, slot: TimeSlot(number: 9)))
        #expect(code == SYNCode(keys: TestKeys.published, handshake: handshake, slot: TimeSlot(number: 9)))
    }

    // Only the lower half of a slot's number is the last word of the hash, so the upper one may change in between.
    @Test(
        "Three slots at once have the codes of each",
        arguments: [1, 28_500_000, 1 << 32 - 2, 1 << 32 - 1, 1 << 32, 1 << 32 + 1] as [UInt64])
    func around(_ number: UInt64) {
        let handshake = Handshake(clientAddress: Self.client, clientISN: 5)
        let codes = SYNCode.around(TimeSlot(number: number), keys: TestKeys.published, handshake: handshake)
        #expect(codes.previous == Self.code(5, TimeSlot(number: number - 1)))
        #expect(codes.current == Self.code(5, TimeSlot(number: number)))
        #expect(codes.next == Self.code(5, TimeSlot(number: number + 1)))
    }

    @Test("Slot 0 stands for the one before it, too") func aroundZero() {
        let handshake = Handshake(clientAddress: Self.client, clientISN: 5)
        let codes = SYNCode.around(TimeSlot(number: 0), keys: TestKeys.published, handshake: handshake)
        #expect(codes.previous == codes.current)
        #expect(codes.current == Self.code(5))
        #expect(codes.next == Self.code(5, TimeSlot(number: 1)))
    }

    @Test func codesAreNeverZero() {
        // The clients of the published vectors whose codes would be 0.
        #expect(Self.code(0x1908_2a28, TimeSlot(unixSeconds: 1_710_000_000)).full == 1)
        #expect(Self.code(0x1832_930d, TimeSlot(unixSeconds: 1_710_000_000)).windowed == 1)
    }
}
