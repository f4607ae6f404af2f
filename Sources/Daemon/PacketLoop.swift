// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import NetfilterQueue

/// The bits of the packet mark by which the daemon talks to the firewall rules.
package struct MarkBits: Equatable, Sendable {
    /// Says that the packet makes its connection verified; 0 where the rules use none.
    package let verified: UInt32
    /// Says that the packet is to be answered by a RST; 0 where the rules use none.
    package let refused: UInt32

    /// Takes both.
    package init(verified: UInt32 = 0, refused: UInt32 = 0) {
        self.verified = verified
        self.refused = refused
    }

    var all: UInt32 { verified | refused }
}

/// Brings packets from a queue to an engine and verdicts back; runs on any queue, a scripted one in tests too.
package struct PacketLoop<PacketSource: PacketQueue & ~Copyable, Judge: Engine & ~Copyable>: ~Copyable {
    /// The queue.
    package var queue: PacketSource
    /// The engine.
    package var engine: Judge
    private let marks: MarkBits
    private let clock: () -> Instant

    /// Joins a queue and an engine.
    package init(
        queue: consuming PacketSource, engine: consuming Judge, marks: MarkBits, clock: @escaping () -> Instant
    ) {
        self.queue = queue
        self.engine = engine
        self.marks = marks
        self.clock = clock
    }

    /// Handles the packets that are waiting, a batch at most.
    package mutating func turn() throws(SystemError) -> ReceivedBatch {
        // One reading serves the batch: it is younger than any packet in it.
        let now = clock()
        let marks = self.marks
        return try Self.exchange(&queue, &engine, marks, now)
    }

    private static func exchange(
        _ queue: inout PacketSource, _ engine: inout Judge, _ marks: MarkBits, _ now: Instant
    ) throws(SystemError) -> ReceivedBatch {
        try queue.receive { packet, bytes in
            let direction: Direction = packet.hook == .postrouting ? .outbound : .inbound
            let verdict = engine.process(&bytes, direction, at: now, checksumVerified: packet.checksumVerified)
            switch verdict.action {
            case .accept: return .accept(mark: packet.mark & ~marks.all)
            case .acceptAsVerified: return .accept(mark: packet.mark & ~marks.all | marks.verified)
            case .rewrite: return .acceptModified(mark: packet.mark & ~marks.all)
            case .reset: return .accept(mark: packet.mark & ~marks.all | marks.refused)
            case .drop: return .drop
            }
        }
    }
}
