// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

extension Queue {
    /// Finds out who holds a queue, from /proc/net/netfilter/nfnetlink_queue.
    ///
    /// - Returns: The netlink port of the holder, which for most programs is their process id; nil if nobody holds it
    ///   or this process may not know.
    package static func owner(of number: UInt16) -> UInt32? {
        let listing: FilePath = "/proc/net/netfilter/nfnetlink_queue"
        guard let file = try? FileDescriptor.open(listing, .readOnly) else { return nil }
        defer { try? file.close() }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        guard let count = unsafe try? bytes.withUnsafeMutableBytes({ unsafe try file.read(into: $0) })
        else { return nil }
        // One line a queue; its number and the holder's port come first.
        for line in String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n") {
            let columns = line.split(separator: " ")
            if columns.count >= 2, UInt16(columns[0]) == number { return UInt32(columns[1]) }
        }
        return nil
    }
}
