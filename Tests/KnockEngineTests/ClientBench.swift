// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Wire

/// A client's engine with clocks that are set by hand.
final class ClientBench {
    var engine: ClientEngine
    var now = Instant(unixSeconds: 1_710_000_030, uptime: 9_000_000)

    /// What a client with one key can choose.
    struct Options {
        var targetPorts: [UInt16] = [22]
        var natAddresses: [IPFamily: IPAddress] = [:]
        var isRoaming = false
        var maskMode: MaskMode?
        /// The servers that must prove themselves.
        var servers: [IPPrefix] = []
        var usesTime = true
        var sendsHint = false
        var reporting: Ledger.Reporting = []
        var handshakeCapacity = 64

        func target(_ number: UInt32, _ prefixes: [IPPrefix], requiresProof: Bool) -> Target {
            Target(
                id: KeyID(number), keys: TestKeys.published, prefixes: prefixes, ports: targetPorts,
                binding: isRoaming ? .none : .natAddresses(natAddresses), maskMode: maskMode,
                requiresProof: requiresProof, usesTime: usesTime, sendsHint: sendsHint)
        }
    }

    /// A client that knocks at every server.
    init(_ change: (inout Options) -> Void = { _ in }) {
        var options = Options()
        change(&options)
        let everywhere = [
            IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
        ]
        let targets = [
            options.target(1, options.servers, requiresProof: true),
            options.target(2, everywhere.compactMap(\.self), requiresProof: false),
        ]
        engine = ClientEngine(
            targets: targets, reporting: options.reporting, handshakeCapacity: options.handshakeCapacity)
    }

    /// Lets both clocks go on.
    func wait(seconds: Int64) {
        now.unixSeconds += seconds
        now.uptime += UInt64(seconds) * 1000
    }

    /// Whether the engine still waits for a SYN/ACK.
    var awaitsAnswers: Bool { engine.awaitsAnswers(at: now) }

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
    func events() -> [Noted] {
        var events: [Noted] = []
        while let event = engine.nextEvent() { events.append(Noted(event)) }
        return events
    }
}
