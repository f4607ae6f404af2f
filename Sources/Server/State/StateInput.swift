// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux

/// Reads a state file sequentially while keeping only part of it in memory.
struct StateInput {
    /// Fills an empty buffer with the next part of the file, or leaves it empty at the end.
    typealias Source = (inout [UInt8]) throws(SystemError) -> Void

    private let source: Source
    private var bytes: [UInt8] = []
    private var start = 0
    private var portion: [UInt8] = []
    /// The offset of the next byte in the file.
    private(set) var offset = 0

    init(_ source: @escaping Source) { self.source = source }

    /// Returns whether at least this many bytes are left.
    mutating func has(_ count: Int) throws(StateFormat.Damage) -> Bool {
        while bytes.count - start < count {
            do throws(SystemError) { try source(&portion) } catch { throw .unreadable(error) }
            guard !portion.isEmpty else { return false }
            bytes.removeSubrange(..<start)
            start = 0
            bytes += portion
            portion.removeAll(keepingCapacity: true)
        }
        return true
    }

    /// Returns the byte at this distance from the next one without consuming it; nil beyond the end.
    mutating func peek(_ distance: Int) throws(StateFormat.Damage) -> UInt8? {
        try has(distance + 1) ? bytes[start + distance] : nil
    }

    /// Consumes this many bytes, which must have been checked with `has`.
    mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        defer { advance(count) }
        return bytes[start..<start + count]
    }

    /// Consumes everything that is left.
    ///
    /// - Parameter mustBeZero: Whether only zero bytes are allowed.
    /// - Returns: The number of bytes; nil if there was a byte that is not allowed.
    /// - Throws: The reason why the file cannot be read.
    mutating func skipRest(_ mustBeZero: Bool) throws(StateFormat.Damage) -> Int? {
        var count = 0
        while try has(1) {
            if mustBeZero, !bytes[start...].allSatisfy({ $0 == 0 }) { return nil }
            count += bytes.count - start
            advance(bytes.count - start)
        }
        return count
    }

    private mutating func advance(_ count: Int) {
        start += count
        offset += count
    }
}
