// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux

/// The kernel's statistics of a queue: one line of /proc/net/netfilter/nfnetlink_queue
/// (net/netfilter/nfnetlink_queue.c, `seq_show`).
public struct QueueStatistics: Equatable, Sendable {
    /// The number of the queue.
    public let number: UInt16
    /// The netlink port of its holder, which for most programs is their process id.
    public let holder: UInt32
    /// The number of packets currently waiting for a verdict.
    public let waiting: UInt32
    /// The number of packets dropped because the queue was full.
    public let droppedInQueue: UInt32
    /// The number of packets dropped because they could not be delivered to the holder.
    public let droppedOnTheWay: UInt32
    /// The number of packets queued since the start.
    public let packets: UInt32

    /// Parses a line; nil if it is malformed.
    public init?(_ line: some StringProtocol) {
        // Port numbers chosen by the kernel are negative, and some kernels print them signed.
        let columns = line.split(separator: " ").map { UInt32($0) ?? Int32($0).map { UInt32(bitPattern: $0) } }
        guard columns.count >= 8, let number = columns[0].flatMap({ UInt16(exactly: $0) }), let holder = columns[1],
            let waiting = columns[2], let inQueue = columns[5], let onTheWay = columns[6], let packets = columns[7]
        else { return nil }
        self.number = number
        self.holder = holder
        self.waiting = waiting
        droppedInQueue = inQueue
        droppedOnTheWay = onTheWay
        self.packets = packets
    }

    /// Parses the whole file; malformed lines are skipped.
    public static func parse(_ text: String) -> [QueueStatistics] {
        text.split(separator: "\n").compactMap { QueueStatistics($0) }
    }

    /// Reads all queues of this network namespace; empty if this process lacks permission.
    public static func all() -> [QueueStatistics] { QueueListing().all() }
}
