// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// The verdicts of the server's side (docs/PROTOCOL.md §4, §5 and §6).
public struct ServerEngine: Engine, ~Copyable {
    /// What can be chosen.
    public struct Configuration: Equatable, Sendable {
        /// The protected ports.
        public var targetPorts: [UInt16] = [22]
        /// Who needs no knock. The firewall rules leave them alone; this is for what is queued all the same.
        public var exempt: [IPPrefix] = []
        /// How long a wrong third ACK locks its sender out, in seconds.
        public var lockoutSeconds: UInt32 = 120
        /// Whether codes depend on the time.
        public var usesTime = true
        /// How a code finds its guest.
        public var guestSearch = GuestSearch.auto
        /// Whether a protected port looks like one that nobody listens to; else like one behind a firewall.
        public var looksClosed = false
        /// Whether a SYN may carry data (RFC 7413), which reaches the service before the third ACK is judged.
        public var acceptsFastOpen = false
        /// How many wrong codes within `wrongCodeSeconds` lock their sender out; 0 for none.
        public var wrongCodeLimit: UInt32 = 0
        /// The time in which wrong codes are counted, in seconds.
        public var wrongCodeSeconds: UInt32 = 600
        /// Which verdicts make an event beside those that always do.
        public var reporting: Ledger.Reporting = []
        /// How many handshakes can be under way; when they are more, the oldest is forgotten.
        public var handshakeCapacity = 65_536
        /// How many used codes can be remembered; when they are more, no handshake begins until one has expired.
        ///
        /// For each there are 40 bytes, taken when they are needed. Without time there are 262,144 codes at most.
        public var replayCapacity = 2_621_440
        /// How many addresses can be locked out; when they are more, the one that would be free next is.
        public var lockoutCapacity = 65_536

        /// Takes the defaults.
        public init() {}
    }

    /// How long a handshake is kept after its last SYN, in milliseconds: longer than any kernel retransmits.
    static let handshakeLifetime: UInt64 = 180_000
    /// How long after its third ACK segments of a connection may still come out of the queue, in milliseconds.
    private static let queueDelay: UInt64 = 10_000

    /// Which way the packets of the client pass the host.
    public static let directionOfClient = Direction.inbound
    /// What becomes of bytes that are no TCP segment.
    public static let actionOnDamage = Verdict.Action.drop

    /// Its verdicts so far.
    public var ledger = Ledger()

    private var guests: GuestList
    private var targetPorts: PortSet
    private var exempt: [IPPrefix]
    private var looksClosed: Bool
    private var acceptsFastOpen: Bool
    private let usesTime: Bool
    private let shared: SharedState
    private var handshakes: HandshakeTable

    /// Reserves all memory that verdicts will need.
    ///
    /// - Parameters:
    ///   - guests: Who is let in.
    ///   - configuration: What can be chosen.
    ///   - shared: What it shares with other engines of the server; nil if it is the only one.
    public init(guests: [Guest], configuration: Configuration, shared: SharedState? = nil) {
        self.shared = shared ?? SharedState(configuration)
        self.guests = GuestList(guests, usesTime: configuration.usesTime, search: configuration.guestSearch)
        targetPorts = PortSet(configuration.targetPorts)
        exempt = configuration.exempt
        looksClosed = configuration.looksClosed
        acceptsFastOpen = configuration.acceptsFastOpen
        usesTime = configuration.usesTime
        handshakes = HandshakeTable(capacity: configuration.handshakeCapacity, lifetime: Self.handshakeLifetime)
        ledger.reporting = configuration.reporting
        self.shared.adopt(guestCount: guests.count)
    }

    /// Takes over other guests, and what else can change while the server runs; not capacities, nor the use of time.
    ///
    /// Handshakes of guests who stay go on, those of others have ended.
    public mutating func adopt(guests: [Guest], configuration: Configuration) {
        self.guests = GuestList(guests, usesTime: usesTime, search: configuration.guestSearch)
        targetPorts = PortSet(configuration.targetPorts)
        exempt = configuration.exempt
        looksClosed = configuration.looksClosed
        acceptsFastOpen = configuration.acceptsFastOpen
        shared.adopt(guestCount: guests.count)
    }

    /// How many handshakes are remembered, just verified ones among them.
    public var handshakeCount: Int { handshakes.count }

    /// Says whether an address is locked out.
    public func isLockedOut(_ address: IPAddress, at now: Instant) -> Bool {
        isLockedOut(shared.lockouts.find(address, at: now.uptime), at: now)
    }

    private func isExempt(_ address: IPAddress) -> Bool {
        !exempt.isEmpty && exempt.contains { $0.contains(address) }
    }

    private func isLockedOut(_ lockout: Lockout?, at now: Instant) -> Bool {
        lockout.map { now.uptime < $0.until } ?? false
    }

    /// Finds a handshake under way; one from before a lockout of its client has ended with that.
    private func position(of flow: Flow, _ lockout: Lockout?, at now: Instant) -> Int? {
        guard let position = handshakes.position(of: flow, at: now.uptime) else { return nil }
        if let lockout, now.uptime &- handshakes[position].age(at: now.uptime) <= lockout.since { return nil }
        // That of a guest who is one no longer has ended, too.
        return guests.position(of: handshakes[position].key) == nil ? nil : position
    }

    /// Decides on bytes from the kernel.
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, checksumVerified: Bool
    ) -> Verdict {
        processed(&bytes, direction, at: now, checksumVerified: checksumVerified)
    }

    /// Decides on a packet that the kernel queued.
    public mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant
    ) -> Verdict {
        switch direction {
        case .inbound:
            let verdict = decideInbound(packet, flow, at: now)
            guard looksClosed, verdict.action == .drop, verdict.reason.isAnsweredByClosedPort else { return verdict }
            return Verdict(.reset, verdict.reason)
        case .outbound:
            return decideOutbound(packet, flow, at: now)
        }
    }

    // MARK: From the client

    private mutating func decideInbound(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let flags = packet.segment.flags
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if isExempt(flow.clientAddress) { return Verdict(.accept, .exempt) }
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
        ledger.note(handshakes[position].key)
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
        _ packet: borrowing Packet, _ flow: Flow, _ lockout: Lockout?, at now: Instant
    ) -> Verdict {
        let code = packet.segment.acknowledgmentNumber
        let handshake = Handshake(clientAddress: flow.clientAddress, clientISN: packet.segment.sequenceNumber)
        guard
            let match = guests.match(code, hint: KeyHint.number(in: packet.nonceField), handshake, slot: now.slot)
        else {
            let isOneTooMany = shared.isOneTooMany(from: flow.clientAddress, at: now)
            return Verdict(.drop, isOneTooMany ? .tooManyWrongCodes : .synWithWrongCode)
        }
        let guest = guests.guests[match.position]
        let used = UsedCode(handshake: match.handshake, key: guest.id)
        ledger.note(guest.id, match.mode)
        if let refusal = guest.refusal(of: flow, at: now) { return Verdict(.drop, refusal) }
        guard acceptsFastOpen || !packet.hasData else { return Verdict(.drop, .synWithData) }
        // The kernel would discard it; before that it must not use up a code, or a place in a table. (Of one with much
        // data only the beginning is here.)
        guard !packet.isComplete || packet.hasValidTCPChecksum else { return Verdict(.drop, .synDamaged) }
        if let position = position(of: flow, lockout, at: now) {
            switch handshakes[position].stage {
            case .begun, .answered:
                if handshakes[position].clientISN == handshake.clientISN, handshakes[position].key == guest.id {
                    handshakes.renew(position, at: now.uptime)
                    shared.extend(used, slot: match.slot, at: now)
                    return Verdict(.accept, .synRetransmitted)
                }
            case .verified:
                break
            }
        }
        if let refusal = shared.refuse(used, slot: match.slot, at: now) { return Verdict(.drop, refusal) }
        if guest.ports.isEmpty { return Verdict(.drop, .knocked) }
        let pending = PendingHandshake(match.handshake, key: guest.id, mode: match.mode, at: now.uptime)
        handshakes.insert(flow, pending, at: now.uptime)
        return Verdict(.accept, .synAccepted)
    }

    /// A RST of a handshake that is not verified.
    private mutating func decideRST(_ packet: borrowing Packet, _ flow: Flow, _ position: Int) -> Verdict {
        guard case .answered = handshakes[position].stage else { return Verdict(.accept, .resetBeforeSynAck) }
        guard packet.segment.sequenceNumber == handshakes[position].acknowledged else {
            return Verdict(.drop, .segmentOutOfSequence)
        }
        guard packet.hasValidTCPChecksum else { return Verdict(.drop, .segmentDamaged) }
        handshakes.remove(at: position)
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
            return Verdict(.acceptAsVerified, .acknowledgmentVerified)
        }
        guard packet.hasValidTCPChecksum else { return Verdict(.drop, .segmentDamaged) }

        let masked = synAckRewrite(handshakes[position], flow)?.sequenceNumber
        let reason: Reason =
            segment.acknowledgmentNumber &- 1 == masked ? .maskedAcknowledgment : .wrongAcknowledgment
        shared.lockouts.lock(flow.clientAddress, reason, at: now.uptime)
        handshakes.remove(at: position)
        return Verdict(.drop, reason)
    }

    // MARK: From the server

    /// Phase 2.
    private mutating func decideOutbound(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if isExempt(flow.clientAddress) { return Verdict(.accept, .exempt) }
        let segment = packet.segment
        guard segment.flags.isSYNACK else { return Verdict(.drop, .otherSegment) }
        guard packet.isComplete else { return Verdict(.drop, .incompleteCopy) }
        let lockout = shared.lockouts.find(flow.clientAddress, at: now.uptime)
        guard !isLockedOut(lockout, at: now) else { return Verdict(.drop, .lockedOut) }
        guard let position = position(of: flow, lockout, at: now) else {
            return Verdict(.drop, .synAckWithoutHandshake)
        }
        ledger.note(handshakes[position].key)
        handshakes[position].answer(
            serverISN: segment.sequenceNumber, acknowledged: segment.acknowledgmentNumber)
        guard let rewrite = synAckRewrite(handshakes[position], flow) else {
            return Verdict(.drop, .synAckWithoutHandshake)
        }
        return Verdict(.rewrite(rewrite), .synAckMasked)
    }

    /// What a SYN/ACK is to carry; nil if the guest is one no longer.
    private func synAckRewrite(_ pending: PendingHandshake, _ flow: Flow) -> HeaderRewrite? {
        guard let position = guests.position(of: pending.key) else { return nil }
        let keys = guests.guests[position].keys
        let handshake = pending.handshake(from: flow.clientAddress)
        let nonce = ServerProof.nonce(
            keys: keys, handshake: handshake, serverISN: pending.serverISN, mode: pending.mode,
            family: flow.clientAddress.family)
        let mask = ISNMask(keys: keys, handshake: handshake, nonce: nonce, mode: pending.mode)
        return HeaderRewrite(sequenceNumber: mask.mask(pending.serverISN), nonceField: nonce)
    }
}
