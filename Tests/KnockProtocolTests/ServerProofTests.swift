// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct ServerProofTests {
    @Test("What the server masks the client verifies", arguments: MaskMode.allCases, IPFamily.allCases)
    func roundTrip(_ mode: MaskMode, _ family: IPFamily) {
        var random = SeededGenerator("proof round trip, \(mode), \(family)")
        for _ in 0..<2000 {
            let handshake = Handshake(
                clientAddress: IPAddress(high: random.next(), low: random.next()),
                clientISN: UInt32(random.next() >> 32))
            let serverISN = UInt32(random.next() >> 32)
            let nonce = ServerProof.nonce(
                keys: TestKeys.published, handshake: handshake, serverISN: serverISN, mode: mode, family: family)
            #expect((1...(family == .ipv4 ? 0xffff : 0xf_ffff)).contains(nonce))
            let masked = ISNMask(keys: TestKeys.published, handshake: handshake, nonce: nonce, mode: mode).mask(
                serverISN)
            let verified = ServerProof.verifiedISN(
                keys: TestKeys.published, handshake: handshake, maskedISN: masked, nonce: nonce, mode: mode,
                family: family)
            #expect(verified == serverISN)
        }
    }

    @Test("The nonces of IPv6 use their upper four bits")
    func nonceOfIPv6IsWider() {
        let nonces = (UInt32(0)..<200).map {
            ServerProof.nonce(
                keys: TestKeys.published, handshake: Handshake(clientAddress: IPAddress(192, 0, 2, 1), clientISN: $0),
                serverISN: 0, mode: .full, family: .ipv6)
        }
        #expect(Set(nonces.map { $0 >> 16 }) == Set(0..<16))
    }

    @Test("A wide nonce is no proof over IPv4", arguments: [0, 0x1_0000, 0x8000_0000] as [UInt32])
    func nonceOutOfRange(_ extra: UInt32) {
        let handshake = Handshake(clientAddress: IPAddress(192, 0, 2, 10), clientISN: 0x1234_5678)
        let verified = ServerProof.verifiedISN(
            keys: TestKeys.published, handshake: handshake, maskedISN: 0xa563_027d, nonce: 0x72a0 + extra, mode: .full,
            family: .ipv4)
        #expect(verified == (extra == 0 ? 0x9abc_def0 : nil))
    }
}
