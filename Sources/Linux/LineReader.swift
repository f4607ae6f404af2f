// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Reads lines from a nonblocking descriptor.
package struct LineReader {
    /// The longest line, in bytes.
    ///
    /// Longer ones are truncated.
    private static let capacity = 16 * 1024

    private let descriptor: Int32
    private var rest: [UInt8] = []
    /// Whether the other end is closed.
    package private(set) var isAtEnd = false

    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Reads the available data, and returns the complete lines.
    package mutating func read() -> [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !isAtEnd {
            let count = unsafe buffer.withUnsafeMutableBytes {
                bytes in uninterrupted { unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count) }
            }
            if count < 0 { break }
            if count == 0 { isAtEnd = true }
            rest += buffer[..<count]
            guard rest.count < Self.capacity else { break }
        }
        var parts = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let last = parts.removeLast()
        rest = isAtEnd ? [] : Array(last.prefix(Self.capacity - 1))
        if isAtEnd, !last.isEmpty { parts.append(last) }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }
}
