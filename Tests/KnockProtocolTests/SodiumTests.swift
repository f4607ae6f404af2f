// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import KnockProtocol

@Suite struct SodiumTests {
    @Test(
        "BLAKE2b without a key: RFC 7693 appendix A, and the empty message",
        arguments: [
            (
                "abc",
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                    + "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
            ),
            ("", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"),
        ])
    func blake2b(_ message: String, _ expected: String) {
        var output = [UInt8](repeating: 0, count: expected.count / 2)
        var span = output.mutableSpan
        Sodium.genericHash(of: Array(message.utf8).span, into: &span)
        #expect(output.hex == expected)
    }

    // From hashlib: blake2b(b"", digest_size=16, key=bytes(range(32)), salt=id, little-endian, person=b"KDF_test").
    @Test(
        "The key derivation",
        arguments: [
            (0, "4ab035bcd76785bbecb24441e3131869"), (1, "3efdc004b16c0446653ebdfc7175eeec"),
            (2, "9341b5e56b15030715820fc9c5058fcd"), (UInt64.max, "b96485b12d2160b7034d418edb5c6281"),
        ] as [(UInt64, String)])
    func deriveKey(_ id: UInt64, _ expected: String) {
        var subkey = [UInt8](repeating: 0, count: 16)
        var span = subkey.mutableSpan
        let master = [UInt8](0..<32)
        Sodium.deriveKey(id: id, context: "KDF_test", master: master.span, into: &span)
        #expect(subkey.hex == expected)
    }
}
