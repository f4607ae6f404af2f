// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// Decides on packets, without doing I/O, reading a clock or logging.
public protocol Engine: ~Copyable, SendableMetatype {
    /// The direction in which the client's packets pass this host.
    static var directionOfClient: Direction { get }

    /// What to do with bytes that are not a TCP segment.
    static var actionOnDamage: Verdict.Action { get }

    /// The engine's verdict counters and events.
    var ledger: Ledger { get set }

    /// Decides on a packet and applies the changes that the verdict calls for.
    ///
    /// - Parameters:
    ///   - bytes: One packet as received from the kernel, starting with its IP header.
    ///   - direction: The direction in which it passes this host.
    ///   - now: The current time.
    ///   - facts: What the kernel knows about the packet.
    /// - Returns: The verdict. Any field changes in it have already been applied to `bytes`.
    mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict

    /// Decides on a packet without changing it.
    ///
    /// - Parameters:
    ///   - packet: The packet.
    ///   - flow: The addresses and ports of its connection.
    ///   - direction: The direction in which it passes this host.
    ///   - now: The current time.
    ///   - facts: What the kernel knows about the packet.
    /// - Returns: The verdict. The caller applies any field changes in it.
    mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict
}

extension Engine where Self: ~Copyable {
    /// Implements `process`; each engine calls it directly, because a call through the protocol would be slower.
    @inline(__always)
    public mutating func processed(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        let verdict: Verdict
        let layout: PacketLayout
        do throws(WireError) {
            let packet = try Packet(validating: bytes.span, checksumVerified: facts.checksumVerified)
            layout = packet.layout
            let flow = direction == Self.directionOfClient ? Flow(fromClient: packet) : Flow(fromServer: packet)
            ledger.open()
            verdict = judge(packet, flow, direction, at: now, facts)
            ledger.close(verdict, flow, at: now)
        } catch {
            let reason = Reason(error)
            ledger.close(reason)
            return Verdict(Self.actionOnDamage, reason)
        }
        if case .rewrite(let rewrite) = verdict.action {
            rewrite.apply(to: &bytes, layout: layout)
        }
        return verdict
    }

    /// Processes a packet about which the kernel knows nothing.
    @inline(__always)
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant
    ) -> Verdict {
        process(&bytes, direction, at: now, PacketFacts())
    }

    /// Removes and returns the oldest event; nil if there is none.
    public mutating func nextEvent() -> Event? { ledger.nextEvent() }

    /// The number of verdicts for each reason.
    public var counters: Counters { ledger.counters }

    /// The number of events dropped because earlier ones had not been taken.
    public var lostEvents: UInt64 { ledger.lostEvents }
}
