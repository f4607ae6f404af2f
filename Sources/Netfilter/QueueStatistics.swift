// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// What the kernel says of a queue: one line of /proc/net/netfilter/nfnetlink_queue
/// (net/netfilter/nfnetlink_queue.c, `seq_show`).
public struct QueueStatistics: Equatable, Sendable {
    /// Its number.
    public let number: UInt16
    /// The netlink port of its holder, which for most programs is their process id.
    public let holder: UInt32
    /// How many packets wait for a verdict now.
    public let waiting: UInt32
    /// How many the kernel discarded because too many waited.
    public let droppedInQueue: UInt32
    /// How many it discarded because they could not be handed over.
    public let droppedOnTheWay: UInt32
    /// The number of the latest packet, counted from the beginning.
    public let packets: UInt32

    /// Reads a line; nil if it is none.
    public init?(_ line: some StringProtocol) {
        // Ports that the kernel has chosen are negative, and written so by some kernels.
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

    /// Reads the whole file; lines that are no queue are passed over.
    public static func parse(_ text: String) -> [QueueStatistics] {
        text.split(separator: "\n").compactMap { QueueStatistics($0) }
    }

    /// Reads all queues of this network namespace; none if this process may not know.
    public static func all() -> [QueueStatistics] { QueueListing().all() }
}

/// The kernel's list of queues, held open: later this process may have no right to open it.
public final class QueueListing: Sendable {
    private let file: FileDescriptor?

    /// Opens the list of the calling thread's network namespace.
    public init() {
        let listing: FilePath = "/proc/net/netfilter/nfnetlink_queue"
        file = try? FileDescriptor.open(listing, .readOnly, options: .closeOnExec)
    }

    deinit {
        try? file?.close()
    }

    /// Reads all queues as they are now; none if this process may not know.
    public func all() -> [QueueStatistics] {
        guard let file else { return [] }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        // 65,536 queues of at most 80 bytes each. From offset 0 the kernel lists them anew.
        while text.count < 8 << 20,
            let count = unsafe try? buffer.withUnsafeMutableBytes({ buffer in
                unsafe try file.read(fromAbsoluteOffset: Int64(text.count), into: buffer)
            }), count > 0
        {
            text += buffer.prefix(count)
        }
        return QueueStatistics.parse(String(decoding: text, as: UTF8.self))
    }
}
