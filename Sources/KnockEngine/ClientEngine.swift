// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// The engine of the client side (docs/PROTOCOL.md §4 and §5).
///
/// Packets it does not understand are accepted: without this daemon, only protected servers would be unreachable
/// anyway.
public struct ClientEngine: Engine, ~Copyable {
    /// What is remembered about a SYN until its SYN/ACK arrives.
    private struct CodedSYN {
        let target: KeyID
        let handshake: Handshake
        let mode: MaskMode
        /// When it was sent, by `Instant.uptime`.
        let time: UInt64
        var isAnswered = false
    }

    /// How long a SYN is remembered after its last retransmission, in milliseconds: longer than any kernel retransmits.
    private static let handshakeLifetime: UInt64 = 180_000
    /// How long to wait for answers before leaving, in milliseconds: a lost one is retransmitted after one second
    /// (RFC 6298 §2.1).
    private static let answerPatience: UInt64 = 2000

    /// The direction in which the client's packets pass this host.
    public static let directionOfClient = Direction.outbound
    /// What to do with bytes that are not a TCP segment.
    public static let actionOnDamage = Verdict.Action.accept

    /// The engine's verdict counters and events.
    public var ledger = Ledger()

    private var targets: TargetList
    private var codedSYNs: ExpiringTable<Flow, CodedSYN>
    private var isLeaving = false

    /// Creates an engine and reserves all memory that its verdicts will need.
    ///
    /// - Parameters:
    ///   - targets: The servers to knock at, each with an id of its own.
    ///   - reporting: Which verdicts cause an event, besides those that always do.
    ///   - handshakeCapacity: The maximum number of handshakes remembered; beyond it, the oldest is forgotten.
    public init(targets: [Target], reporting: Ledger.Reporting = [], handshakeCapacity: Int = 16_384) {
        self.targets = TargetList(targets)
        codedSYNs = ExpiringTable(capacity: handshakeCapacity, lifetime: Self.handshakeLifetime)
        ledger.reporting = reporting
    }

    /// Replaces the targets; handshakes with targets that remain go on.
    public mutating func adopt(targets: [Target]) {
        self.targets = TargetList(targets)
    }

    /// Stops adding codes to SYNs, but keeps unmasking SYN/ACKs.
    public mutating func leave() {
        isLeaving = true
    }

    /// Returns whether the SYN/ACK is still missing for a SYN that was coded less than two seconds ago.
    ///
    /// If nobody unmasks that SYN/ACK, the kernel acknowledges the masked ISN, and this client is locked out.
    public func awaitsAnswers(at now: Instant) -> Bool {
        var awaits = false
        codedSYNs.forEach(at: now.uptime) { _, syn in
            if !syn.isAnswered, now.uptime < syn.time &+ Self.answerPatience { awaits = true }
        }
        return awaits
    }

    /// The number of handshakes remembered.
    public var handshakeCount: Int { codedSYNs.count }

    /// Decides on a packet and applies the changes that the verdict calls for.
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        processed(&bytes, direction, at: now, facts)
    }

    /// Decides on a packet without changing it.
    public mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        guard !facts.isMarked else { return Verdict(.accept, .otherSegment) }
        switch direction {
        case .outbound: return decideSYN(packet, flow, at: now)
        case .inbound: return decideSYNACK(packet, flow, at: now)
        }
    }

    /// Decides on a SYN (phase 1).
    private mutating func decideSYN(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let segment = packet.segment
        guard targets.hasPort(flow.serverPort) else { return Verdict(.accept, .otherPort) }
        guard segment.flags.isSYN else { return Verdict(.accept, .otherSegment) }
        guard packet.isComplete else { return Verdict(.accept, .incompleteCopy) }
        guard segment.acknowledgmentNumber == 0 else { return Verdict(.accept, .synAlreadyCoded) }
        guard !isLeaving else { return Verdict(.accept, .synAtTheEnd) }
        guard let position = targets.position(of: flow) else { return Verdict(.accept, .synToOtherServer) }

        let target = targets.targets[position]
        let (handshake, mode) = target.terms(flow.clientAddress, clientISN: segment.sequenceNumber)
        ledger.note(target.id, mode)
        let slot = target.usesTime ? now.slot : .timeless
        let code = SYNCode(keys: target.keys, handshake: handshake, slot: slot)
        codedSYNs.insert(
            flow, CodedSYN(target: target.id, handshake: handshake, mode: mode, time: now.uptime), at: now.uptime)
        var rewrite = HeaderRewrite(acknowledgmentNumber: code[mode])
        if target.sendsHint {
            rewrite.identifier = KeyHint(keys: target.keys, slot: slot).identifier(flow.clientAddress.family)
        }
        return Verdict(.rewrite(rewrite), .synCoded)
    }

    /// Decides on a SYN/ACK (phase 2); if it passes, its SYN is marked as answered.
    private mutating func decideSYNACK(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let verdict = verdictOnSYNACK(packet, flow, at: now)
        if verdict.action != .drop, let entry = codedSYNs.position(of: flow, at: now.uptime) {
            codedSYNs[entry].isAnswered = true
        }
        return verdict
    }

    private mutating func verdictOnSYNACK(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let segment = packet.segment
        guard targets.hasPort(flow.serverPort) else { return Verdict(.accept, .otherPort) }
        guard segment.flags.isSYNACK else { return Verdict(.accept, .otherSegment) }
        guard packet.isComplete else { return Verdict(.accept, .incompleteCopy) }
        guard let (position, handshake, mode) = terms(flow, clientISN: segment.acknowledgmentNumber &- 1, at: now)
        else { return Verdict(.accept, .synAckOfOtherServer) }

        let target = targets.targets[position]
        ledger.note(target.id)
        if packet.identifier != 0,
            let serverISN = ServerProof.verifiedISN(
                keys: target.keys, handshake: handshake, maskedISN: segment.sequenceNumber, nonce: packet.identifier,
                mode: mode, family: flow.clientAddress.family)
        {
            return Verdict(.rewrite(HeaderRewrite(sequenceNumber: serverISN)), .synAckProven)
        }
        guard target.requiresProof else { return Verdict(.accept, .synAckOfOtherServer) }
        return Verdict(.drop, packet.identifier == 0 ? .proofMissing : .proofWrong)
    }

    /// Returns the target, handshake and mode that the SYN was coded with.
    ///
    /// If the SYN is unknown, because it was coded before a restart or its addresses were translated in between, they
    /// are derived from the flow.
    private mutating func terms(
        _ flow: Flow, clientISN: UInt32, at now: Instant
    ) -> (position: Int, handshake: Handshake, mode: MaskMode)? {
        if let entry = codedSYNs.position(of: flow, at: now.uptime) {
            let known = codedSYNs[entry]
            if let position = targets.position(of: known.target) { return (position, known.handshake, known.mode) }
        }
        guard let position = targets.position(of: flow) else { return nil }
        let (handshake, mode) = targets.targets[position].terms(flow.clientAddress, clientISN: clientISN)
        return (position, handshake, mode)
    }
}
