// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Reads what a hook writes to its standard error, of which only the first line is kept.
package struct FirstLine {
    /// So many bytes of the line are kept.
    package static let capacity = 200
    /// One look reads no more than this, in bytes.
    private static let bytesAtOnce = 64 * 1024

    private let descriptor: Int32
    private var line: [UInt8] = []
    private var isComplete = false

    /// Whether the other end is closed: there is nothing to wait for.
    package private(set) var isAtEnd = false
    /// Whether it has written so much that it should be looked at only now and then: it may never end.
    package private(set) var isEndless = false

    /// Takes the reading end of a pipe, nonblocking; it is not closed here.
    package init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// The line without its end, invalid UTF-8 replaced; control characters are left to who writes it into a log.
    package var text: String { String(decoding: line, as: UTF8.self) }

    /// Reads what is there, up to a bound.
    package mutating func read() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var total = 0
        while !isAtEnd, total < Self.bytesAtOnce {
            let count = unsafe buffer.withUnsafeMutableBytes {
                bytes in uninterrupted { unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count) }
            }
            if count > 0 {
                total += count
                keep(buffer[..<count])
            } else if count == 0 {
                isAtEnd = true
            } else {
                return
            }
        }
        isEndless = isEndless || total >= Self.bytesAtOnce
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        guard !isComplete else { return }
        let part = bytes.prefix { $0 != UInt8(ascii: "\n") }
        line += part.prefix(Self.capacity - line.count)
        isComplete = part.count < bytes.count || line.count == Self.capacity
    }
}
