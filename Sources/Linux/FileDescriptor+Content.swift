// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

extension FileDescriptor {
    /// The most bytes that are read at a time.
    private static let portion = 64 << 10

    /// Reads a file, regardless of the current position.
    ///
    /// - Parameters:
    ///   - offset: Where to begin, in bytes.
    ///   - limit: The most bytes to read.
    /// - Returns: The bytes; fewer than `limit` only if the file ends before.
    /// - Throws: The error of pread(2).
    package func content(from offset: Int = 0, limit: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        // Some files of the kernel can be read in whole records only.
        var part = [UInt8](repeating: 0, count: Self.portion)
        while bytes.count < limit {
            var span = part.mutableSpan
            let count = try fill(&span, from: offset + bytes.count)
            bytes += part.prefix(min(count, limit - bytes.count))
            guard count == part.count else { break }
        }
        return bytes
    }

    /// Reads a file into memory, regardless of the current position.
    ///
    /// - Parameters:
    ///   - memory: The memory to fill.
    ///   - offset: Where to begin, in bytes.
    /// - Returns: The number of bytes read; less than there is room for only if the file ends before.
    /// - Throws: The error of pread(2).
    package func fill(_ memory: inout MutableSpan<UInt8>, from offset: Int = 0) throws(Errno) -> Int {
        unsafe try memory.withUnsafeMutableBytes { memory throws(Errno) in
            var count = 0
            while count < memory.count {
                do {
                    let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
                    let more = unsafe try read(fromAbsoluteOffset: Int64(offset + count), into: rest)
                    guard more > 0 else { break }
                    count += more
                } catch {
                    throw Errno(error)
                }
            }
            return count
        }
    }
}
