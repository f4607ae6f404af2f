// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The verdicts of the server's side (docs/PROTOCOL.md §4, §5 and §6).
package struct ServerEngine: Engine, ~Copyable {
    /// What can be chosen.
    package struct Configuration: Equatable, Sendable {
        /// The protected ports.
        package var targetPorts: [UInt16] = [22]
        /// How long a wrong third ACK locks its sender out, in seconds.
        package var lockoutSeconds: UInt32 = 120
        /// Whether codes depend on the time.
        package var usesTime = true
        /// Whether each dropped packet makes an event.
        package var reportsDrops = false
        /// How many handshakes can be under way; when they are more, the oldest is forgotten.
        package var handshakeCapacity = 65_536
        /// How many used codes can be remembered; when they are more, no handshake begins until one has expired.
        package var replayCapacity = 262_144
        /// How many addresses can be locked out; when they are more, the one that would be free next is.
        package var lockoutCapacity = 65_536

        /// Takes the defaults.
        package init() {}
    }

    /// How long a handshake is kept after its last SYN, in milliseconds: longer than any kernel retransmits.
    static let handshakeLifetime: UInt64 = 180_000
    /// How long after its third ACK segments of a connection may still come out of the queue, in milliseconds.
    private static let queueDelay: UInt64 = 10_000
    /// How many events wait for the caller at most.
    private static let eventCapacity = 1024

    private let keys: KeySchedule
    private let targetPorts: PortSet
    private let usesTime: Bool
    private let reportsDrops: Bool
    private let shared: SharedState
    private var handshakes: HandshakeTable
    private var events = EventBuffer(capacity: eventCapacity)

    /// How many packets got a verdict for each reason.
    package private(set) var counters = Counters()

    /// Reserves all memory that verdicts will need.
    ///
    /// - Parameters:
    ///   - keys: The keys of the server.
    ///   - configuration: What can be chosen.
    ///   - shared: What it shares with other engines of the server; nil if it is the only one.
    package init(keys: KeySchedule, configuration: Configuration, shared: SharedState? = nil) {
        self.keys = keys
        self.shared = shared ?? SharedState(configuration)
        targetPorts = PortSet(configuration.targetPorts)
        usesTime = configuration.usesTime
        reportsDrops = configuration.reportsDrops
        handshakes = HandshakeTable(capacity: configuration.handshakeCapacity, lifetime: Self.handshakeLifetime)
    }

    /// How many handshakes are remembered, just verified ones among them.
    package var handshakeCount: Int { handshakes.count }

    /// Takes the oldest event that has not been taken.
    package mutating func nextEvent() -> Event? { events.next() }

    /// How many events found no room because nobody took the earlier ones.
    package var lostEvents: UInt64 { events.lost }

    /// Says whether an address is locked out.
    package func isLockedOut(_ address: IPAddress, at now: Instant) -> Bool {
        isLockedOut(shared.lockouts.find(address, at: now.uptime), at: now)
    }

    private func isLockedOut(_ lockout: Lockouts.Lockout?, at now: Instant) -> Bool {
        lockout.map { now.uptime < $0.until } ?? false
    }

    /// Finds a handshake under way; one from before a lockout of its client has ended with that.
    private func position(of flow: Flow, _ lockout: Lockouts.Lockout?, at now: Instant) -> Int? {
        guard let position = handshakes.position(of: flow, at: now.uptime) else { return nil }
        if let lockout, now.uptime &- handshakes[position].age(at: now.uptime) <= lockout.since { return nil }
        return position
    }

    /// Decides on a packet that the kernel queued.
    package mutating func decide(_ packet: borrowing Packet, _ direction: Direction, at now: Instant) -> Verdict {
        let verdict: Verdict
        let flow: Flow
        switch direction {
        case .inbound:
            flow = Flow(fromClient: packet)
            verdict = decideInbound(packet, flow, at: now)
        case .outbound:
            flow = Flow(fromServer: packet)
            verdict = decideOutbound(packet, flow, at: now)
        }
        counters.count(verdict.reason)
        if reportsDrops, verdict.action == .drop { events.offer(.dropped(flow, verdict.reason)) }
        return verdict
    }

    /// Decides on bytes that are no TCP segment.
    package mutating func decide(_ error: WireError) -> Verdict {
        let reason = Reason(error)
        counters.count(reason)
        return Verdict(.drop, reason)
    }

    // MARK: From the client

    private mutating func decideInbound(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let flags = packet.segment.flags
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if flags.isSYN, packet.segment.acknowledgmentNumber == 0 { return Verdict(.drop, .synWithoutCode) }
        let lockout = shared.lockouts.find(flow.clientAddress, at: now.uptime)
        guard !isLockedOut(lockout, at: now) else { return Verdict(.drop, .lockedOut) }
        if flags.isSYN { return decideSYN(packet, flow, lockout, at: now) }
        guard !flags.contains(.syn), flags.contains(.ack) || flags.contains(.rst) else {
            return Verdict(.drop, .impossibleFlags)
        }
        guard let position = position(of: flow, lockout, at: now) else {
            return Verdict(.drop, .segmentWithoutHandshake)
        }
        if case .verified = handshakes[position].stage {
            guard handshakes[position].timeSinceVerification(at: now.uptime) < Self.queueDelay else {
                return Verdict(.drop, .segmentWithoutHandshake)
            }
            return Verdict(.acceptAsVerified, .segmentOfVerified)
        }
        if flags.contains(.rst) { return decideRST(packet, flow, position) }
        return decideThirdACK(packet, flow, position, at: now)
    }

    /// Phase 1.
    private mutating func decideSYN(
        _ packet: borrowing Packet, _ flow: Flow, _ lockout: Lockouts.Lockout?, at now: Instant
    ) -> Verdict {
        let handshake = Handshake(clientAddress: flow.clientAddress, clientISN: packet.segment.sequenceNumber)
        guard let (mode, slot) = match(packet.segment.acknowledgmentNumber, handshake, at: now) else {
            return Verdict(.drop, .synWithWrongCode)
        }
        if let position = position(of: flow, lockout, at: now) {
            switch handshakes[position].stage {
            case .begun, .answered:
                if handshakes[position].clientISN == handshake.clientISN {
                    handshakes.renew(position, at: now.uptime)
                    shared.extend(handshake, slot: slot, at: now)
                    return Verdict(.accept, .synRetransmitted)
                }
            case .verified:
                break
            }
        }
        if let refusal = shared.refuse(handshake, slot: slot, at: now) { return Verdict(.drop, refusal) }
        let pending = PendingHandshake(clientISN: handshake.clientISN, mode: mode, at: now.uptime)
        handshakes.insert(flow, pending, at: now.uptime)
        events.offer(.handshakeBegun(flow, mode))
        return Verdict(.accept, .synAccepted)
    }

    /// Finds the mode that a code asks for, and its slot; all slots are tried whichever is right.
    private func match(_ code: UInt32, _ handshake: Handshake, at now: Instant) -> (MaskMode, TimeSlot)? {
        guard usesTime else {
            let code = SYNCode(keys: keys, handshake: handshake, slot: .timeless).mode(of: code)
            return code.map { ($0, .timeless) }
        }
        let slot = now.slot
        let codes = SYNCode.around(slot, keys: keys, handshake: handshake)
        let modes = (codes.previous.mode(of: code), codes.current.mode(of: code), codes.next.mode(of: code))
        if let mode = modes.1 { return (mode, slot) }
        if let mode = modes.2 { return (mode, slot.next) }
        if let mode = modes.0 { return (mode, slot.previous ?? slot) }
        return nil
    }

    /// A RST of a handshake that is not verified.
    private mutating func decideRST(_ packet: borrowing Packet, _ flow: Flow, _ position: Int) -> Verdict {
        guard case .answered = handshakes[position].stage else { return Verdict(.accept, .resetBeforeSynAck) }
        guard packet.segment.sequenceNumber == handshakes[position].acknowledged else {
            return Verdict(.drop, .segmentOutOfSequence)
        }
        guard packet.hasValidTCPChecksum else { return Verdict(.drop, .segmentDamaged) }
        handshakes.remove(at: position)
        events.offer(.handshakeReset(flow))
        return Verdict(.accept, .resetOfHandshake)
    }

    /// Phase 3.
    private mutating func decideThirdACK(
        _ packet: borrowing Packet, _ flow: Flow, _ position: Int, at now: Instant
    ) -> Verdict {
        guard case .answered = handshakes[position].stage else { return Verdict(.drop, .segmentBeforeSynAck) }
        let segment = packet.segment
        guard segment.sequenceNumber == handshakes[position].acknowledged else {
            return Verdict(.drop, .segmentOutOfSequence)
        }
        if handshakes[position].isAcknowledged(by: segment.acknowledgmentNumber) {
            handshakes[position].verify(at: now.uptime)
            events.offer(.verified(flow))
            return Verdict(.acceptAsVerified, .acknowledgmentVerified)
        }
        guard packet.hasValidTCPChecksum else { return Verdict(.drop, .segmentDamaged) }

        let masked = synAckRewrite(handshakes[position], flow).sequenceNumber
        let reason: Reason =
            segment.acknowledgmentNumber &- 1 == masked ? .maskedAcknowledgment : .wrongAcknowledgment
        shared.lockouts.lock(flow.clientAddress, at: now.uptime)
        handshakes.remove(at: position)
        events.offer(.lockedOut(flow, reason))
        return Verdict(.drop, reason)
    }

    // MARK: From the server

    /// Phase 2.
    private mutating func decideOutbound(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        let segment = packet.segment
        guard segment.flags.isSYNACK else { return Verdict(.drop, .otherSegment) }
        guard packet.isComplete else { return Verdict(.drop, .incompleteCopy) }
        let lockout = shared.lockouts.find(flow.clientAddress, at: now.uptime)
        guard !isLockedOut(lockout, at: now) else { return Verdict(.drop, .lockedOut) }
        guard let position = position(of: flow, lockout, at: now) else {
            return Verdict(.drop, .synAckWithoutHandshake)
        }
        handshakes[position].answer(
            serverISN: segment.sequenceNumber, acknowledged: segment.acknowledgmentNumber)
        return Verdict(.rewrite(synAckRewrite(handshakes[position], flow)), .synAckMasked)
    }

    private func synAckRewrite(_ pending: PendingHandshake, _ flow: Flow) -> HeaderRewrite {
        let handshake = Handshake(clientAddress: flow.clientAddress, clientISN: pending.clientISN)
        let nonce = ServerProof.nonce(
            keys: keys, handshake: handshake, serverISN: pending.serverISN, mode: pending.mode,
            family: flow.clientAddress.family)
        let mask = ISNMask(keys: keys, handshake: handshake, nonce: nonce, mode: pending.mode)
        return HeaderRewrite(sequenceNumber: mask.mask(pending.serverISN), nonceField: nonce)
    }
}
