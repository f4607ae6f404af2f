// SPDX-License-Identifier: GPL-2.0-or-later

/// One line of /proc/net/netfilter/nfnetlink_queue (net/netfilter/nfnetlink_queue.c, `seq_show`).
package struct QueueEntry: Equatable, Sendable {
    /// The number of the queue.
    package let number: UInt16
    /// The netlink port of who is bound to it.
    package let port: UInt32
    /// How many packets wait for a verdict.
    package let waiting: UInt64
    /// How many packets were lost because too many waited.
    package let lostInQueue: UInt64
    /// How many packets were lost because the socket of the program was full.
    package let lostAtSocket: UInt64

    /// Reads the whole file; lines that are too short or have no numbers are passed over.
    package static func parse(_ text: String) -> [QueueEntry] {
        text.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ")
            guard columns.count >= 7, let number = UInt16(columns[0]), let waiting = UInt64(columns[2]),
                let lostInQueue = UInt64(columns[5]), let lostAtSocket = UInt64(columns[6])
            else { return nil }
            // Ports that the kernel has chosen are negative, and written so.
            guard let port = UInt32(columns[1]) ?? Int32(columns[1]).map({ UInt32(bitPattern: $0) }) else { return nil }
            return QueueEntry(
                number: number, port: port, waiting: waiting, lostInQueue: lostInQueue, lostAtSocket: lostAtSocket)
        }
    }
}

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
