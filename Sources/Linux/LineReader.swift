// SPDX-License-Identifier: GPL-2.0-or-later
/// Reads lines from a nonblocking descriptor.
package struct LineReader {
    /// The longest line, in bytes.
    ///
    /// Longer ones are truncated.
    private let capacity: Int

    private var pipe: PipeReader
    private var rest: [UInt8] = []
    /// Whether the other end is closed.
    package var isAtEnd: Bool { pipe.isAtEnd }

    package init(_ descriptor: Int32, capacity: Int = 16 * 1024) {
        pipe = PipeReader(descriptor)
        self.capacity = capacity
    }

    /// Reads the available data, and returns the complete lines.
    package mutating func read() -> [String] {
        rest += pipe.read(limit: capacity)
        var parts = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let last = parts.removeLast()
        rest = isAtEnd ? [] : Array(last.prefix(capacity - 1))
        if isAtEnd, !last.isEmpty { parts.append(last) }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }
}
