// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// Reads numbers in network byte order from a sequence of bytes, without ever reading beyond its end.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    /// The index of the next byte, in the indices of the slice.
    private(set) var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// The number of bytes left.
    var left: Int { bytes.endIndex - position }

    /// The next byte, without consuming it; nil at the end.
    var next: UInt8? { left > 0 ? bytes[position] : nil }

    /// Consumes this many bytes; nil if fewer are left.
    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= left else { return nil }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// Consumes a number; nil if too few bytes are left.
    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type = Number.self) -> Number? {
        take(MemoryLayout<Number>.size)?.reduce(0) { $0 << 8 | Number($1) }
    }

    /// Consumes an address; nil if too few bytes are left.
    mutating func address() -> IPAddress? {
        guard let high = number(UInt64.self), let low = number(UInt64.self) else { return nil }
        return IPAddress(high: high, low: low)
    }
}

extension [UInt8] {
    /// Appends a number in network byte order.
    mutating func append<Number: FixedWidthInteger & UnsignedInteger>(number: Number) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> Number(shift)))
        }
    }

    /// Appends an address, 16 bytes in network byte order.
    mutating func append(_ address: IPAddress) {
        append(number: address.high)
        append(number: address.low)
    }
}
