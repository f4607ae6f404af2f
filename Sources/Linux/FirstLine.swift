// SPDX-License-Identifier: GPL-2.0-or-later
/// Reads the standard error of a hook, and keeps only its first line.
package struct FirstLine {
    /// At most this many bytes of the line are kept.
    package static let capacity = 200
    /// At most this many bytes are read at a time.
    private static let bytesAtOnce = 64 * 1024

    private var pipe: PipeReader
    private var line: [UInt8] = []
    private var isComplete = false

    /// Whether the other end is closed, so that there is nothing left to wait for.
    package var isAtEnd: Bool { pipe.isAtEnd }
    /// Whether the hook writes so much that its output should be read only at intervals, because it may never end.
    package private(set) var isEndless = false

    /// Creates a reader of the nonblocking read end of a pipe, which it does not close.
    package init(_ descriptor: Int32) {
        pipe = PipeReader(descriptor)
    }

    /// The line without its newline.
    ///
    /// Invalid UTF-8 is replaced, but control characters are not escaped.
    package var text: String { String(decoding: line, as: UTF8.self) }

    /// Reads the available data, up to `bytesAtOnce`.
    package mutating func read() {
        let bytes = pipe.read(limit: Self.bytesAtOnce)
        isEndless = isEndless || bytes.count == Self.bytesAtOnce
        guard !isComplete else { return }
        let part = bytes.prefix { $0 != UInt8(ascii: "\n") }
        line += part.prefix(Self.capacity - line.count)
        isComplete = part.count < bytes.count || line.count == Self.capacity
    }
}
