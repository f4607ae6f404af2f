// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// Takes numbers in network byte order from the front of bytes, and never what is beyond their end.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    /// Where the next is taken from, counted in the whole array.
    private(set) var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// How many bytes are left.
    var left: Int { bytes.endIndex - position }

    /// The next byte, which stays; nil at the end.
    var next: UInt8? { left > 0 ? bytes[position] : nil }

    /// Takes so many bytes; nil if there are not so many.
    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= left else { return nil }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// Takes a number; nil if there are too few bytes.
    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type = Number.self) -> Number? {
        take(MemoryLayout<Number>.size)?.reduce(0) { $0 << 8 | Number($1) }
    }

    /// Takes an address; nil if there are too few bytes.
    mutating func address() -> IPAddress? {
        guard let high = number(UInt64.self), let low = number(UInt64.self) else { return nil }
        return IPAddress(high: high, low: low)
    }
}

extension [UInt8] {
    /// Adds a number in network byte order.
    mutating func append<Number: FixedWidthInteger & UnsignedInteger>(number: Number) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> Number(shift)))
        }
    }

    /// Adds an address.
    mutating func append(_ address: IPAddress) {
        append(number: address.high)
        append(number: address.low)
    }
}
