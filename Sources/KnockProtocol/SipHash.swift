// SPDX-License-Identifier: GPL-2.0-or-later

/// SipHash-2-4 (Aumasson and Bernstein, 2012), word by word.
///
/// It is here, and not libsodium's, because a server tries three time slots for each SYN: what they have in common is
/// absorbed once, and what they have not is three chains that a processor works on at the same time.
struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    /// Starts with a key.
    ///
    /// - Parameters:
    ///   - low: Its first eight bytes, read with the first as the least significant.
    ///   - high: Its last eight bytes, read in the same way.
    @inline(__always)
    init(low: UInt64, high: UInt64) {
        v0 = low ^ 0x736f_6d65_7073_6575
        v1 = high ^ 0x646f_7261_6e64_6f6d
        v2 = low ^ 0x6c79_6765_6e65_7261
        v3 = high ^ 0x7465_6462_7974_6573
    }

    /// Takes in eight bytes of the message, read with the first as the least significant.
    @inline(__always)
    mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    /// Takes in the rest of the message and ends.
    ///
    /// - Parameters:
    ///   - rest: The last bytes, at most seven, read with the first as the least significant.
    ///   - length: The length of the whole message in bytes.
    /// - Returns: The output bytes in their order, read in network order: the first is the most significant.
    @inline(__always)
    consuming func finish(_ rest: UInt64, length: UInt8) -> UInt64 {
        absorb(UInt64(length) << 56 | rest)
        v2 ^= 0xff
        round()
        round()
        round()
        round()
        return (v0 ^ v1 ^ v2 ^ v3).byteSwapped
    }

    @inline(__always)
    private mutating func round() {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
    }
}
