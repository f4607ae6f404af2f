// SPDX-License-Identifier: GPL-2.0-or-later
import CSodium
import TestSupport
import Testing
import Wire

@testable import KnockProtocol

/// SipHash of a message of any length, by what the protocol uses word by word.
func sipHash(_ message: [UInt8], key: [UInt8]) -> UInt64 {
    var hash = SipHash(low: key.span.uint64(at: 0).byteSwapped, high: key.span.uint64(at: 8).byteSwapped)
    let words = message.count / 8
    for word in 0..<words { hash.absorb(message.span.uint64(at: word * 8).byteSwapped) }
    var rest: UInt64 = 0
    for (index, byte) in message[(words * 8)...].enumerated() { rest |= UInt64(byte) << UInt64(index * 8) }
    return hash.finish(rest, length: UInt8(truncatingIfNeeded: message.count))
}

@Suite struct SipHashTests {
    /// The key of the vectors of SipHash's authors, the bytes 0 to 15.
    private static let key = [UInt8](0..<16)

    @Test(
        "SipHash-2-4 of the messages 00, 00 01, ... from the reference implementation (vectors.h)",
        arguments: [
            (0, "310e0edd47db6f72"), (1, "fd67dc93c539f874"), (2, "5a4fa9d909806c0d"), (3, "2d7efbd796666785"),
            (4, "b7877127e09427cf"), (5, "8da699cd64557618"), (6, "cee3fe586e46c9cb"), (7, "37d1018bf50002ab"),
            (8, "6224939a79f5f593"), (9, "b0e4a90bdf82009e"), (10, "f3b9dd94c5bb5d7a"), (11, "a7ad6b22462fb3f4"),
            (12, "fbe50e86bc8f1e75"), (13, "903d84c02756ea14"), (14, "eef27a8e90ca23f7"), (15, "e545be4961ca29a1"),
        ])
    func sipHashReference(_ length: Int, _ expected: String) {
        let message = [UInt8]((0..<length).map { UInt8($0) })
        #expect(sipHash(message, key: Self.key).networkBytes.hex == expected)
    }

    @Test("SipHash-2-4 of the message in the paper's appendix A")
    func sipHashPaper() {
        // The paper gives the number a129ca6149be45e5; its bytes in memory are little-endian.
        let message = [UInt8](0..<15)
        #expect(sipHash(message, key: Self.key).byteSwapped == 0xa129_ca61_49be_45e5)
    }

    @Test("libsodium says the same of random keys and messages", arguments: 0...64)
    func libsodium(_ length: Int) {
        var random = SeededGenerator("libsodium")
        for _ in 0..<20 {
            let message = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
            var expected = [UInt8](repeating: 0, count: 8)
            #expect(crypto_shorthash(&expected, message, UInt64(length), key) == 0)
            #expect(sipHash(message, key: key).networkBytes == expected)
        }
    }
}
