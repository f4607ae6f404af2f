// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KernelFilter
internal import SystemPackage

/// The code of the running program, as it lies in memory.
enum ProgramText {
    /// Gives back the pages that only the start of the program needed: most of what a daemon has in memory otherwise.
    ///
    /// They are clean pages of a file; the kernel brings back whatever is used again.
    static func releasePages() {
        for range in ranges() {
            unsafe madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// Where the program's own file is mapped to be executed, from /proc/self/maps (proc(5)).
    ///
    /// Not what can only be read: part of that was written by the dynamic linker before, and cannot be brought back.
    private static func ranges() -> [Range<UInt>] {
        guard let path = KernelFilter.executable?.string, let maps = read("/proc/self/maps") else { return [] }
        return maps.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ", maxSplits: 5)
            guard columns.count == 6, columns[1].hasPrefix("r-x"), columns[5].drop(while: { $0 == " " }) == path
            else { return nil }
            let ends = columns[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
        }
    }

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
