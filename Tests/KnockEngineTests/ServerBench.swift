// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Wire

/// A server's engine with clocks that are set by hand.
final class ServerBench {
    var engine: ServerEngine
    /// In the middle of a slot.
    var now = Instant(unixSeconds: 1_710_000_030, uptime: 5_000_000)

    init(notesChanges: Bool = false, _ change: (inout ServerEngine.Configuration) -> Void = { _ in }) {
        var configuration = ServerEngine.Configuration.usual
        // Small, so that thousands of them are made quickly.
        configuration.handshakeCapacity = 64
        configuration.replayCapacity = 64
        configuration.lockoutCapacity = 64
        change(&configuration)
        let shared = SharedState(configuration)
        if notesChanges { shared.beginToNoteChanges() }
        engine = ServerEngine(guests: [Guest(TestKeys.published)], configuration: configuration, shared: shared)
    }

    /// Lets both clocks go on.
    func wait(seconds: Int64) {
        now.unixSeconds += seconds
        now.uptime += UInt64(seconds) * 1000
    }

    /// A packet from the network.
    func receive(_ bytes: [UInt8], isMarked: Bool = false) -> Verdict {
        var copy = bytes
        var span = copy.mutableSpan
        let verdict = engine.process(&span, .inbound, at: now, PacketFacts(isMarked: isMarked))
        precondition(copy == bytes, "the server changed a packet from the network")
        return verdict
    }

    /// A packet to the network.
    @discardableResult
    func send(_ bytes: [UInt8], isMarked: Bool = false) -> (verdict: Verdict, bytes: [UInt8]) {
        var copy = bytes
        var span = copy.mutableSpan
        let verdict = engine.process(&span, .outbound, at: now, PacketFacts(isMarked: isMarked))
        return (verdict, copy)
    }

    /// Brings a handshake to where its SYN has been accepted.
    @discardableResult
    func begin(_ conversation: Conversation) -> Verdict {
        receive(conversation.syn(now.slot))
    }

    /// Brings a handshake to where its SYN/ACK has been sent; gives the packet on the wire.
    @discardableResult
    func answer(_ conversation: Conversation) -> [UInt8] {
        begin(conversation)
        return send(conversation.synAck()).bytes
    }

    /// Brings a handshake to its end.
    @discardableResult
    func verify(_ conversation: Conversation) -> Verdict {
        answer(conversation)
        return receive(conversation.thirdACK)
    }

    /// Locks a client out.
    @discardableResult
    func lockOut(_ conversation: Conversation) -> Verdict {
        answer(conversation)
        return receive(conversation.acknowledging(conversation.serverISN))
    }

    func isLockedOut(_ address: IPAddress, _ key: KeyID? = nil) -> Bool {
        engine.isLockedOut(address, key, at: now)
    }

    /// All events that wait.
    func events() -> [Noted] {
        var events: [Noted] = []
        while let event = engine.nextEvent() { events.append(Noted(event)) }
        return events
    }
}
