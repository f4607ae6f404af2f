// SPDX-License-Identifier: GPL-2.0-or-later

/// Who holds a netlink socket.
package enum NetlinkOwner {
    /// NETLINK_NETFILTER of linux/netlink.h.
    private static let netfilter = 12

    /// Finds the inode of the netfilter socket with a port in /proc/net/netlink (net/netlink/af_netlink.c); nil if there
    /// is none.
    package static func inode(ofPort port: UInt32, in text: String) -> UInt64? {
        for line in text.split(separator: "\n").dropFirst() {
            let columns = line.split(separator: " ")
            guard columns.count >= 10, Int(columns[1]) == netfilter, UInt32(columns[2]) == port else { continue }
            return UInt64(columns[9])
        }
        return nil
    }

    /// Finds the process that has a socket open; nil if there is none, or this user may not know.
    ///
    /// - Parameters:
    ///   - inode: The number of the socket.
    ///   - guess: The process to look at first.
    ///   - host: The host.
    /// - Returns: Its process id.
    static func process(withSocket inode: UInt64, guess: UInt32, _ host: Host) -> Int32? {
        let wanted = "socket:[\(inode)]"
        let numbers = host.list("/proc").compactMap { Int32($0) }
        let first = Int32(exactly: guess).map { [$0] } ?? []
        return (first + numbers).first { number in
            host.list("/proc/\(number)/fd").contains { host.link("/proc/\(number)/fd/\($0)") == wanted }
        }
    }
}
