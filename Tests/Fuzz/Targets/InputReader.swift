// SPDX-License-Identifier: GPL-2.0-or-later

/// Takes an input apart from its beginning; behind its end there are zeros.
struct InputReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Whether nothing is left.
    var isAtEnd: Bool { position >= bytes.count }

    /// What is left.
    var rest: [UInt8] { Array(bytes[min(position, bytes.count)...]) }

    /// The byte that is taken next, which stays.
    var next: UInt8 { isAtEnd ? 0 : bytes[position] }

    mutating func uint8() -> UInt8 {
        guard position < bytes.count else { return 0 }
        position += 1
        return bytes[position - 1]
    }

    mutating func uint16() -> UInt16 { UInt16(uint8()) << 8 | UInt16(uint8()) }

    mutating func uint32() -> UInt32 { UInt32(uint16()) << 16 | UInt32(uint16()) }

    /// A choice; `values` must not be empty.
    mutating func choice<Value>(_ values: [Value]) -> Value { values[Int(uint8()) % values.count] }

    /// So many bytes, or as many as are left.
    mutating func bytes(_ count: Int) -> [UInt8] {
        let end = min(position + count, bytes.count)
        defer { position = end }
        return Array(bytes[min(position, end)..<end])
    }
}
