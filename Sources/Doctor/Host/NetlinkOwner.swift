// SPDX-License-Identifier: GPL-2.0-or-later

/// A search for the process that holds a netlink socket.
package enum NetlinkOwner {
    /// NETLINK_NETFILTER of linux/netlink.h.
    private static let netfilter = 12

    /// Finds the inode of the netfilter socket with a port id in /proc/net/netlink (net/netlink/af_netlink.c); nil if
    /// there is none.
    package static func inode(ofPort port: UInt32, in text: String) -> UInt64? {
        for line in text.split(separator: "\n").dropFirst() {
            let columns = line.split(separator: " ")
            guard columns.count >= 10, Int(columns[1]) == netfilter, UInt32(columns[2]) == port else { continue }
            return UInt64(columns[9])
        }
        return nil
    }

    /// Finds a process that has a socket open; nil if there is none, or if this user may not know.
    ///
    /// - Parameters:
    ///   - inode: The inode number of the socket.
    ///   - guess: The process id to try first.
    ///   - host: The host to search.
    /// - Returns: The process id.
    static func process(withSocket inode: UInt64, guess: UInt32, _ host: Host) -> Int32? {
        let wanted = "socket:[\(inode)]"
        let numbers = host.list("/proc").compactMap { Int32($0) }
        let first = Int32(exactly: guess).map { [$0] } ?? []
        return (first + numbers).first { number in
            host.list("/proc/\(number)/fd").contains { host.link("/proc/\(number)/fd/\($0)") == wanted }
        }
    }
}
