// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Reads what a child process writes, from the nonblocking read end of a pipe.
package struct PipeReader {
    /// The read end, which the reader does not close.
    package let descriptor: Int32
    /// Whether the other end is closed, so that there is nothing left to wait for.
    package private(set) var isAtEnd = false

    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Returns the data available now, at most `limit` bytes of it.
    package mutating func read(limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !isAtEnd, bytes.count < limit {
            let room = min(buffer.count, limit - bytes.count)
            let count = uninterrupted { unsafe Glibc.read(descriptor, &buffer, room) }
            if count < 0, errno == EAGAIN { break }
            isAtEnd = count <= 0
            bytes += buffer[..<max(0, count)]
        }
        return bytes
    }
}
