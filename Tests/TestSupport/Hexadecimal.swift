// SPDX-License-Identifier: GPL-2.0-or-later

extension Array<UInt8> {
    /// Reads pairs of hexadecimal digits, ignoring white space; traps on anything else.
    package init(hex: String) {
        let digits = hex.filter { !$0.isWhitespace }.map { digit -> UInt8 in
            guard let value = digit.hexDigitValue else { preconditionFailure("no hexadecimal digit: \(digit)") }
            return UInt8(value)
        }
        precondition(digits.count.isMultiple(of: 2), "half a byte")
        self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// The bytes as pairs of lower-case hexadecimal digits.
    package var hex: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Returns the bytes with one bit inverted.
    ///
    /// Bit 0 is the most significant bit of the first byte.
    package func flipping(bit: Int) -> [UInt8] {
        var copy = self
        copy[bit / 8] ^= 0x80 >> UInt8(bit % 8)
        return copy
    }
}

extension FixedWidthInteger {
    /// The bytes of a number in network byte order.
    package var networkBytes: [UInt8] {
        stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
    }
}
