// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Linux
package import Netfilter

/// Brings packets from a queue to an engine and verdicts back; runs on any queue, a scripted one in tests too.
package struct PacketLoop<PacketSource: PacketQueue & ~Copyable, Judge: Engine & ~Copyable>: ~Copyable {
    /// The queue.
    package var queue: PacketSource
    /// The engine.
    package var engine: Judge
    /// The bit of the packet mark that says "verified"; 0 where the rules use none.
    private let markBit: UInt32
    /// What answers refused packets; nil where nothing does.
    private var resets: ResetSender?
    private let clock: () -> Instant

    /// Joins a queue and an engine.
    package init(
        queue: consuming PacketSource, engine: consuming Judge, markBit: UInt32, resets: consuming ResetSender? = nil,
        clock: @escaping () -> Instant
    ) {
        self.queue = queue
        self.engine = engine
        self.markBit = markBit
        self.resets = resets
        self.clock = clock
    }

    /// Handles the packets that are waiting, a batch at most.
    package mutating func turn() throws(SystemError) -> ReceivedBatch {
        // One reading serves the batch: it is younger than any packet in it.
        let now = clock()
        let batch = try Self.exchange(&queue, &engine, &resets, markBit, now)
        resets?.flush()
        return batch
    }

    private static func exchange(
        _ queue: inout PacketSource, _ engine: inout Judge, _ resets: inout ResetSender?, _ markBit: UInt32,
        _ now: Instant
    ) throws(SystemError) -> ReceivedBatch {
        try queue.receive { packet, bytes in
            let direction: Direction = packet.hook == .postrouting ? .outbound : .inbound
            // The rules set the bit on what meets a verified connection. What has it never goes through its chain again:
            // if the rules knew another bit, that would have no end.
            let isMarked = packet.mark & markBit != 0
            let facts = PacketFacts(checksumVerified: packet.checksumVerified, isMarked: isMarked)
            let verdict = engine.process(&bytes, direction, at: now, facts)
            let (plain, marked) = (packet.mark & ~markBit, packet.mark | markBit)
            let isRepeated = markBit != 0 && !isMarked
            switch verdict.action {
            // What needs no verdict must not look as if it had one.
            case .accept where verdict.reason == .exempt: return .accept(mark: plain)
            case .accept: return isRepeated ? .repeat(mark: marked) : .accept(mark: plain)
            case .acceptAsVerified: return isRepeated ? .repeat(mark: marked) : .accept(mark: marked)
            case .rewrite: return isRepeated ? .repeatModified(mark: marked) : .acceptModified(mark: plain)
            case .reset:
                resets?.answer(bytes.span, checksumVerified: packet.checksumVerified)
                return .drop
            case .drop: return .drop
            }
        }
    }
}
