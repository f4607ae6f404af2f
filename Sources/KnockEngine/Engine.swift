// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

/// What the kernel knows of a packet beside its bytes.
public struct PacketFacts: Sendable {
    /// Whether it has verified the TCP checksum.
    public var checksumVerified: Bool
    /// Whether it comes with the bit of the packet mark that belongs to this program: on the server the rules set that on
    /// what meets a verified connection (docs/PROTOCOL.md §6.4); on the client it has been here before.
    public var isMarked: Bool

    /// Takes both; by default nothing is known.
    public init(checksumVerified: Bool = false, isMarked: Bool = false) {
        self.checksumVerified = checksumVerified
        self.isMarked = isMarked
    }
}

/// What decides on packets: no I/O, no clock, no logger.
public protocol Engine: ~Copyable, SendableMetatype {
    /// Which way the packets of the client pass the host.
    static var directionOfClient: Direction { get }

    /// What becomes of bytes that are no TCP segment.
    static var actionOnDamage: Verdict.Action { get }

    /// Its verdicts so far.
    var ledger: Ledger { get set }

    /// Takes bytes from the kernel, decides on them, and makes the changes that the verdict asks for.
    ///
    /// - Parameters:
    ///   - bytes: One packet as it came from the kernel, beginning with its IP header.
    ///   - direction: Which way it passes the host.
    ///   - now: The time.
    ///   - facts: What the kernel knows of it.
    /// - Returns: The verdict; what it says of fields to be changed is done.
    mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict

    /// Decides on a packet that the kernel queued.
    ///
    /// - Parameters:
    ///   - packet: The packet.
    ///   - flow: The two ends of its connection.
    ///   - direction: Which way it passes the host.
    ///   - now: The time.
    ///   - facts: What the kernel knows of it.
    /// - Returns: The verdict; the caller makes the changes that it asks for.
    mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict
}

extension Engine where Self: ~Copyable {
    /// What `process` does, to be made for each engine of its own: called through the protocol it would be slower.
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

    /// Takes bytes of which the kernel knows nothing.
    @inline(__always)
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant
    ) -> Verdict {
        process(&bytes, direction, at: now, PacketFacts())
    }

    /// Takes the oldest event that has not been taken.
    public mutating func nextEvent() -> Event? { ledger.nextEvent() }

    /// How many packets got a verdict for each reason.
    public var counters: Counters { ledger.counters }

    /// How many events found no room because nobody took the earlier ones.
    public var lostEvents: UInt64 { ledger.lostEvents }
}
