// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct ISNMaskTests {
    private static let serverISNs: [UInt32] = [
        0, 1, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_8000, 0xffff_ffff,
    ]

    @Test("What is masked can be unmasked", arguments: MaskMode.allCases)
    func roundTrip(_ mode: MaskMode) {
        var random = SeededGenerator("mask round trip, \(mode)")
        for _ in 0..<2000 {
            let handshake = Handshake(
                clientAddress: IPAddress(high: random.next(), low: random.next()),
                clientISN: UInt32(random.next() >> 32))
            let nonce = UInt32.random(in: 1...0xf_ffff, using: &random)
            let mask = ISNMask(keys: TestKeys.published, handshake: handshake, nonce: nonce, mode: mode)
            for serverISN in Self.serverISNs + [UInt32(random.next() >> 32)] {
                let masked = mask.mask(serverISN)
                #expect(mask.unmask(masked) == serverISN)
                if mode == .windowed {
                    // How far it lies above, modulo 2^32.
                    #expect((1...32768).contains(masked &- serverISN))
                }
            }
        }
    }

    @Test("Distances from 1 to 32,768 all come up", arguments: [UInt32(1), 32768])
    func windowIsUsedToItsEnds(_ distance: UInt32) {
        let handshake = Handshake(clientAddress: IPAddress(192, 0, 2, 10), clientISN: 1)
        let found = (1...UInt32(300_000)).contains { nonce in
            ISNMask(keys: TestKeys.published, handshake: handshake, nonce: nonce, mode: .windowed).mask(0) == distance
        }
        #expect(found)
    }

    @Test("A mask belongs to its client, its nonce, its mode and its key")
    func dependencies() {
        let client = IPAddress(192, 0, 2, 10)
        let handshake = Handshake(clientAddress: client, clientISN: 1)
        let mask = ISNMask(keys: TestKeys.published, handshake: handshake, nonce: 2, mode: .full)
        let others = [
            ISNMask(
                keys: TestKeys.published, handshake: Handshake(clientAddress: client, clientISN: 2), nonce: 2,
                mode: .full),
            ISNMask(
                keys: TestKeys.published,
                handshake: Handshake(clientAddress: IPAddress(192, 0, 2, 11), clientISN: 1), nonce: 2, mode: .full),
            ISNMask(keys: TestKeys.published, handshake: handshake, nonce: 3, mode: .full),
            ISNMask(keys: TestKeys.published, handshake: handshake, nonce: 2, mode: .windowed),
            ISNMask(keys: TestKeys.other, handshake: handshake, nonce: 2, mode: .full),
        ]
        for other in others { #expect(other.mask(0) != mask.mask(0)) }
        #expect(mask == ISNMask(keys: TestKeys.published, handshake: handshake, nonce: 2, mode: .full))
    }

    @Test func modesHaveTheirNumbersOnTheWire() {
        #expect(MaskMode.full.rawValue == 0)
        #expect(MaskMode.windowed.rawValue == 1)
        #expect(MaskMode.allCases.count == 2)
    }
}
