// SPDX-License-Identifier: GPL-2.0-or-later

/// The Internet checksum (RFC 1071) in its textbook form, slow and obvious, for comparison.
package enum PlainChecksum {
    /// Returns the one's complement sum of 16-bit words; an odd last byte is the high byte of a word.
    package static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() {
            sum += index.isMultiple(of: 2) ? UInt32(byte) * 256 : UInt32(byte)
            if sum > 0xffff { sum -= 0xffff }
        }
        return UInt16(sum)
    }

    /// Returns the checksum of bytes that contain 0 in the checksum field.
    package static func checksum(_ bytes: [UInt8]) -> UInt16 { ~sum(bytes) }
}
