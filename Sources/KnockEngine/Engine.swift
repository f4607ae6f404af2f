// SPDX-License-Identifier: GPL-2.0-or-later
public import Wire

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
    ///   - checksumVerified: Whether the kernel has verified the TCP checksum.
    /// - Returns: The verdict; what it says of fields to be changed is done.
    mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, checksumVerified: Bool
    ) -> Verdict

    /// Decides on a packet that the kernel queued.
    ///
    /// - Parameters:
    ///   - packet: The packet.
    ///   - flow: The two ends of its connection.
    ///   - direction: Which way it passes the host.
    ///   - now: The time.
    /// - Returns: The verdict; the caller makes the changes that it asks for.
    mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant
    ) -> Verdict
}

extension Engine where Self: ~Copyable {
    /// What `process` does, to be made for each engine of its own: called through the protocol it would be slower.
    @inline(__always)
    public mutating func processed(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, checksumVerified: Bool
    ) -> Verdict {
        let verdict: Verdict
        let layout: PacketLayout
        do throws(WireError) {
            let packet = try Packet(validating: bytes.span, checksumVerified: checksumVerified)
            layout = packet.layout
            let flow = direction == Self.directionOfClient ? Flow(fromClient: packet) : Flow(fromServer: packet)
            ledger.open()
            verdict = judge(packet, flow, direction, at: now)
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

    /// Takes bytes whose TCP checksum nobody has verified yet.
    @inline(__always)
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant
    ) -> Verdict {
        process(&bytes, direction, at: now, checksumVerified: false)
    }

    /// Takes the oldest event that has not been taken.
    public mutating func nextEvent() -> Event? { ledger.nextEvent() }

    /// How many packets got a verdict for each reason.
    public var counters: Counters { ledger.counters }

    /// How many events found no room because nobody took the earlier ones.
    public var lostEvents: UInt64 { ledger.lostEvents }
}
