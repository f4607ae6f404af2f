// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Linux
package import Netfilter

/// Passes packets from a queue to an engine and verdicts back.
///
/// Tests use it with a scripted queue.
package struct PacketLoop<PacketSource: PacketQueue & ~Copyable, Judge: Engine & ~Copyable>: ~Copyable {
    /// The source of the packets.
    package var queue: PacketSource
    /// The engine that judges the packets.
    package var engine: Judge
    /// The bit of the packet mark that means "verified"; 0 if the rules use none.
    private let markBit: UInt32
    /// Answers refused packets with a RST; nil if nothing does.
    private var resets: ResetSender?
    private let clock: () -> Instant

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

    /// Handles the waiting packets, at most one batch.
    package mutating func turn() throws(SystemError) -> ReceivedBatch {
        // One reading of the clock serves the whole batch: it is later than the arrival of any packet in it.
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
            // The rules set the bit on packets of verified connections. A packet that has it must never go through its
            // chain again: if the rules used a different bit, that would never end.
            let isMarked = packet.mark & markBit != 0
            let facts = PacketFacts(checksumVerified: packet.checksumVerified, isMarked: isMarked)
            let verdict = engine.process(&bytes, direction, at: now, facts)
            let (plain, marked) = (packet.mark & ~markBit, packet.mark | markBit)
            let isRepeated = markBit != 0 && !isMarked
            switch verdict.action {
            // A packet that needs no verdict must not look as if it had one.
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
