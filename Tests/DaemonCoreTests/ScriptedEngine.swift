// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import Linux
import Netfilter
import TestSupport
import Wire

/// An engine that gives verdicts from a list, and keeps what it was asked.
struct ScriptedEngine: Engine, ~Copyable {
    var actions: [Verdict.Action] = []
    var ledger = Ledger()
    private(set) var seen: [(direction: Direction, now: Instant)] = []

    init(actions: [Verdict.Action] = [], events: [Event] = []) {
        self.actions = actions
        ledger.reporting = [.drops, .stages]
        offer(events)
    }

    /// Has events wait to be taken.
    mutating func offer(_ events: [Event]) {
        for event in events { ledger.close(Verdict(.drop, event.reason), event.flow, at: event.time) }
    }

    static let directionOfClient = Direction.inbound
    static let actionOnDamage = Verdict.Action.drop

    mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        processed(&bytes, direction, at: now, facts)
    }

    mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        seen.append((direction, now))
        return Verdict(actions.removeFirst(), .acknowledgmentVerified)
    }
}

/// A queue that delivers packets from a list, and keeps the verdicts.
struct ScriptedQueue: PacketQueue, ~Copyable {
    var waiting: [(packet: QueuedPacket, bytes: [UInt8])] = []
    private(set) var verdicts: [QueueVerdict] = []
    private(set) var bytes: [[UInt8]] = []
    var error: SystemError?

    init(_ waiting: [(packet: QueuedPacket, bytes: [UInt8])]) {
        self.waiting = waiting
    }

    mutating func receive(
        _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict
    ) throws(SystemError) -> ReceivedBatch {
        if let error { throw error }
        var batch = ReceivedBatch()
        for (packet, original) in waiting {
            var bytes = original
            var span = bytes.mutableSpan
            verdicts.append(judge(packet, &span))
            self.bytes.append(bytes)
            batch.packets += 1
        }
        waiting = []
        return batch
    }
}

/// When events of tests happen.
let instant = Instant(unixSeconds: 0, uptime: 5000)
