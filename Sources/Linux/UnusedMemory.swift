// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
internal import SystemPackage

/// What a daemon has in memory and does not need to give verdicts: most of it, after its start or a report for people.
package enum UnusedMemory {
    /// Gives it back: pages of code, which the kernel brings back when they are used again, and free room of the heap.
    package static func release() {
        for range in code {
            unsafe madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
        clinux_trim_heap()
    }

    /// Where the program and its libraries are mapped to be executed, from /proc/self/maps (proc(5)); libraries that
    /// are loaded later stay where they are.
    ///
    /// Not what can only be read: part of that was written by the dynamic linker before, and cannot be brought back.
    private static let code: [Range<UInt>] = {
        guard let maps = read("/proc/self/maps") else { return [] }
        return maps.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ", maxSplits: 5)
            guard columns.count == 6, columns[1].hasPrefix("r-x"), columns[5].drop(while: { $0 == " " }).hasPrefix("/")
            else { return nil }
            let ends = columns[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
        }
    }()

    private static func read(_ path: FilePath) -> String? {
        guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else { return nil }
        defer { try? file.close() }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while let count = unsafe try? buffer.withUnsafeMutableBytes({ unsafe try file.read(into: $0) }), count > 0 {
            text += buffer.prefix(count)
        }
        return String(decoding: text, as: UTF8.self)
    }
}
