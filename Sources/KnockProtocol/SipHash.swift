// SPDX-License-Identifier: GPL-2.0-or-later

/// SipHash-2-4 (Aumasson and Bernstein, 2012), processed word by word.
///
/// Used instead of libsodium's because a server tries three time slots for each SYN: their common prefix is absorbed
/// only once, and the rest is three independent chains that a processor executes in parallel.
struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    /// Starts with a key.
    ///
    /// - Parameters:
    ///   - low: The first eight bytes of the key in little-endian order.
    ///   - high: The last eight bytes of the key in little-endian order.
    @inline(__always)
    init(low: UInt64, high: UInt64) {
        v0 = low ^ 0x736f_6d65_7073_6575
        v1 = high ^ 0x646f_7261_6e64_6f6d
        v2 = low ^ 0x6c79_6765_6e65_7261
        v3 = high ^ 0x7465_6462_7974_6573
    }

    /// Absorbs eight bytes of the message, read in little-endian order.
    @inline(__always)
    mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    /// Absorbs the rest of the message and returns the hash.
    ///
    /// - Parameters:
    ///   - rest: The last bytes, at most seven, read in little-endian order.
    ///   - length: The length of the whole message in bytes, modulo 256.
    /// - Returns: The eight output bytes, read in big-endian order: the first is the most significant.
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
