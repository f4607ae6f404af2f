// SPDX-License-Identifier: GPL-2.0-or-later

extension Span<UInt8> {
    /// Returns the 16-bit number stored in network byte order at `offset`; traps if that is out of bounds.
    @inlinable @inline(__always)
    public func uint16(at offset: Int) -> UInt16 {
        // One bounds check and one load for the whole number; every bit pattern is valid.
        unsafe UInt16(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// Returns the 32-bit number stored in network byte order at `offset`; traps if that is out of bounds.
    @inlinable @inline(__always)
    public func uint32(at offset: Int) -> UInt32 {
        unsafe UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Returns the 64-bit number stored in network byte order at `offset`; traps if that is out of bounds.
    @inlinable @inline(__always)
    public func uint64(at offset: Int) -> UInt64 {
        unsafe UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension MutableSpan<UInt8> {
    /// Stores `value` in network byte order at `offset`; traps if that is out of bounds.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt16, at offset: Int) {
        self[offset] = UInt8(truncatingIfNeeded: value >> 8)
        self[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// Stores `value` in network byte order at `offset`; traps if that is out of bounds.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt32, at offset: Int) {
        store(UInt16(truncatingIfNeeded: value >> 16), at: offset)
        store(UInt16(truncatingIfNeeded: value), at: offset + 2)
    }

    /// Stores `value` in network byte order at `offset`; traps if that is out of bounds.
    @inlinable
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt64, at offset: Int) {
        store(UInt32(truncatingIfNeeded: value >> 32), at: offset)
        store(UInt32(truncatingIfNeeded: value), at: offset + 4)
    }
}
