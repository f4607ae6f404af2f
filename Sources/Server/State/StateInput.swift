// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux

/// The bytes of a state file from its beginning to its end, of which only some are in memory at a time.
struct StateInput {
    /// Fills a buffer that is empty with what comes next in the file; it stays empty at the end.
    typealias Source = (inout [UInt8]) throws(SystemError) -> Void

    private let source: Source
    private var bytes: [UInt8] = []
    private var start = 0
    private var portion: [UInt8] = []
    /// Where the next byte is in the file.
    private(set) var offset = 0

    init(_ source: @escaping Source) { self.source = source }

    /// Whether so many bytes more are there.
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

    /// A byte that stays, so many behind the next one; nil beyond the end.
    mutating func peek(_ distance: Int) throws(StateFormat.Damage) -> UInt8? {
        try has(distance + 1) ? bytes[start + distance] : nil
    }

    /// Takes so many bytes, which must be there.
    mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        defer { advance(count) }
        return bytes[start..<start + count]
    }

    /// Takes all that is left.
    ///
    /// - Parameter mustBeZero: Whether it must be zeros alone.
    /// - Returns: How much it was, in bytes; nil if it was not what it must be.
    /// - Throws: What keeps the file from being read.
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
