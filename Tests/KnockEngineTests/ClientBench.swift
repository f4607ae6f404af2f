// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Wire

/// A client's engine with clocks that are set by hand.
final class ClientBench {
    var engine: ClientEngine
    var now = Instant(unixSeconds: 1_710_000_030, uptime: 9_000_000)

    init(_ change: (inout ClientEngine.Configuration) -> Void = { _ in }) {
        var configuration = ClientEngine.Configuration()
        configuration.handshakeCapacity = 64
        change(&configuration)
        engine = ClientEngine(keys: TestKeys.published, configuration: configuration)
    }

    /// Lets both clocks go on.
    func wait(seconds: Int64) {
        now.unixSeconds += seconds
        now.uptime += UInt64(seconds) * 1000
    }

    /// A packet to the network.
    func send(_ bytes: [UInt8]) -> (verdict: Verdict, bytes: [UInt8]) { process(bytes, .outbound) }

    /// A packet from the network.
    func receive(_ bytes: [UInt8]) -> (verdict: Verdict, bytes: [UInt8]) { process(bytes, .inbound) }

    private func process(_ bytes: [UInt8], _ direction: Direction) -> (verdict: Verdict, bytes: [UInt8]) {
        var copy = bytes
        var span = copy.mutableSpan
        let verdict = engine.process(&span, direction, at: now)
        return (verdict, copy)
    }

    /// All events that wait.
    func events() -> [Event] {
        var events: [Event] = []
        while let event = engine.nextEvent() { events.append(event) }
        return events
    }
}
