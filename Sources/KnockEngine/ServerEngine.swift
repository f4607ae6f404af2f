// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// The verdicts of the server's side (docs/PROTOCOL.md §4, §5 and §6).
public struct ServerEngine: Engine, ~Copyable {
    /// What can be chosen.
    public struct Configuration: Equatable, Sendable {
        /// The protected ports.
        public var targetPorts: [UInt16] = [22]
        /// Who needs no knock.
        ///
        /// The firewall rules leave them alone; this is for what is queued all the same.
        public var exempt: [IPPrefix] = []
        /// How long a wrong third ACK locks out, in seconds.
        public var lockoutSeconds: UInt32 = 120
        /// Whom it locks out, where there is more than one guest.
        public var lockoutScope = LockoutScope.guest
        /// How many handshakes a second each guest may begin, where there is more than one; 0 for any number.
        public var guestSYNRate: UInt32 = 2000
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
        /// How many handshakes can be under way; when they are more, the oldest of the guest with the most is forgotten.
        public var handshakeCapacity = 65_536
        /// How many used codes can be remembered; when they are more, no handshake begins until one has expired.
        ///
        /// For each there are 40 bytes, taken when they are needed. Without time there are 262,144 codes at most.
        public var replayCapacity = 2_621_440
        /// How many lockouts there can be; when they are more, the oldest of the guest with the most is over.
        public var lockoutCapacity = 65_536

        /// Takes the defaults.
        public init() {}

        /// Whether a wrong third ACK locks its whole address out; of one guest, all that comes from there is.
        ///
        /// - Parameter guestCount: How many guests there are.
        /// - Returns: Whether it does.
        public func locksOutAddresses(guestCount: Int) -> Bool { lockoutScope == .address || guestCount <= 1 }
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
    private var locksOutAddresses: Bool
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
        locksOutAddresses = configuration.locksOutAddresses(guestCount: guests.count)
        usesTime = configuration.usesTime
        handshakes = HandshakeTable(capacity: configuration.handshakeCapacity, lifetime: Self.handshakeLifetime)
        handshakes.reserve(guests: guests.count)
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
        locksOutAddresses = configuration.locksOutAddresses(guestCount: guests.count)
        handshakes.reserve(guests: guests.count)
        shared.adopt(guestCount: guests.count)
    }

    /// How many handshakes are remembered, just verified ones among them.
    public var handshakeCount: Int { handshakes.count }

    /// Says whether an address is locked out, or a guest there.
    public func isLockedOut(_ address: IPAddress, _ key: KeyID? = nil, at now: Instant) -> Bool {
        shared.isLockedOut(address, key, at: now)
    }

    private func isExempt(_ address: IPAddress) -> Bool {
        !exempt.isEmpty && exempt.contains { $0.contains(address) }
    }

    /// The handshake under way that a segment belongs to, if any does.
    ///
    /// There may be several between the same ends, of different guests: whoever sends in somebody else's name must not end
    /// theirs. The kernel has one of them at most, and its numbers tell which.
    ///
    /// - Parameters:
    ///   - flow: The ends.
    ///   - now: The time.
    ///   - rank: How well the segment fits; the one that it fits best is meant.
    /// - Returns: Its position in the table; nil if there is none between these ends.
    private func position(of flow: Flow, at now: Instant, _ rank: (PendingHandshake) -> Int) -> Int? {
        var best: Int?
        var bestRank = Int.min
        handshakes.forEachNeighbour(of: HandshakeName(flow, KeyID(0)), at: now.uptime) { name, position in
            guard name.flow == flow, isUnderWay(position, from: flow.clientAddress, at: now) else { return }
            let rank = rank(handshakes[position])
            if rank > bestRank { (best, bestRank) = (position, rank) }
        }
        return best
    }

    /// Whether a handshake has not ended: with a lockout since it began, or because its guest is one no longer.
    private func isUnderWay(_ position: Int, from address: IPAddress, at now: Instant) -> Bool {
        let (key, age) = (handshakes[position].key, handshakes[position].age(at: now.uptime))
        let standing = shared.lockouts.standing(of: address, key, at: now.uptime)
        if let since = standing.since, now.uptime &- age <= since { return false }
        return guests.position(of: key) != nil
    }

    /// Decides on bytes from the kernel.
    public mutating func process(
        _ bytes: inout MutableSpan<UInt8>, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        processed(&bytes, direction, at: now, facts)
    }

    /// Decides on a packet that the kernel queued.
    public mutating func judge(
        _ packet: borrowing Packet, _ flow: Flow, _ direction: Direction, at now: Instant, _ facts: PacketFacts
    ) -> Verdict {
        switch direction {
        case .inbound:
            let verdict = decideInbound(packet, flow, at: now)
            // On a verified connection a RST would be taken for one of its own.
            guard looksClosed, !facts.isMarked, verdict.action == .drop, verdict.reason.isAnsweredByClosedPort
            else { return verdict }
            return Verdict(.reset, verdict.reason)
        case .outbound:
            return decideOutbound(packet, flow, isOnVerified: facts.isMarked, at: now)
        }
    }

    // MARK: From the client

    private mutating func decideInbound(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let flags = packet.segment.flags
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if isExempt(flow.clientAddress) { return Verdict(.accept, .exempt) }
        if flags.isSYN, packet.segment.acknowledgmentNumber == 0 { return Verdict(.drop, .synWithoutCode) }
        guard !shared.isLockedOut(flow.clientAddress, nil, at: now) else { return Verdict(.drop, .lockedOut) }
        if flags.isSYN { return decideSYN(packet, flow, at: now) }
        guard !flags.contains(.syn), flags.contains(.ack) || flags.contains(.rst) else {
            return Verdict(.drop, .impossibleFlags)
        }
        let sequenceNumber = packet.segment.sequenceNumber
        let found = position(of: flow, at: now) { handshake in
            switch handshake.stage {
            case .answered: handshake.acknowledged == sequenceNumber ? 4 : 2
            case .verified: handshake.timeSinceVerification(at: now.uptime) < Self.queueDelay ? 3 : 0
            case .begun: 1
            }
        }
        guard let position = found else { return Verdict(.drop, .segmentWithoutHandshake) }
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
    private mutating func decideSYN(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
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
        guard !shared.isLockedOut(flow.clientAddress, guest.id, at: now) else { return Verdict(.drop, .lockedOut) }
        if let refusal = guest.refusal(of: flow, at: now) { return Verdict(.drop, refusal) }
        guard acceptsFastOpen || !packet.hasData else { return Verdict(.drop, .synWithData) }
        // The kernel would discard it; before that it must not use up a code, or a place in a table. (Of one with much
        // data only the beginning is here.)
        guard !packet.isComplete || packet.hasValidTCPChecksum else { return Verdict(.drop, .synDamaged) }
        if let known = sameSYN(flow, handshake.clientISN, at: now) {
            guard handshakes[known].key == guest.id else { return Verdict(.drop, .synOfOtherHandshake) }
            handshakes.renew(known, at: now.uptime)
            shared.extend(used, slot: match.slot, at: now)
            return Verdict(.accept, .synRetransmitted)
        }
        if let refusal = shared.refuse(used, slot: match.slot, at: now) { return Verdict(.drop, refusal) }
        if guest.ports.isEmpty { return Verdict(.drop, .knocked) }
        forgetVerified(flow, at: now)
        let pending = PendingHandshake(match.handshake, key: guest.id, mode: match.mode, at: now.uptime)
        handshakes.insert(HandshakeName(flow, guest.id), pending, of: guest.id, at: now.uptime)
        return Verdict(.accept, .synAccepted)
    }

    /// The handshake under way, not yet verified, that began with the same SYN.
    private func sameSYN(_ flow: Flow, _ clientISN: UInt32, at now: Instant) -> Int? {
        guard let position = position(of: flow, at: now, { $0.hasBegun(with: clientISN) ? 1 : 0 }),
            handshakes[position].hasBegun(with: clientISN)
        else { return nil }
        return position
    }

    /// Forgets what was verified between the same ends: a segment must not be taken for one of that.
    private mutating func forgetVerified(_ flow: Flow, at now: Instant) {
        while let position = position(of: flow, at: now, { $0.isVerified ? 1 : 0 }), handshakes[position].isVerified {
            handshakes.remove(at: position)
        }
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
        let key = locksOutAddresses ? nil : handshakes[position].key
        shared.lockouts.lock(Lockout.Subject(flow.clientAddress, key), reason, at: now.uptime)
        handshakes.remove(at: position)
        return Verdict(.drop, reason)
    }

    // MARK: From the server

    /// Phase 2.
    private mutating func decideOutbound(
        _ packet: borrowing Packet, _ flow: Flow, isOnVerified: Bool, at now: Instant
    ) -> Verdict {
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if isExempt(flow.clientAddress) { return Verdict(.accept, .exempt) }
        let segment = packet.segment
        guard segment.flags.isSYNACK else { return Verdict(.drop, .otherSegment) }
        guard packet.isComplete else { return Verdict(.drop, .incompleteCopy) }
        guard !shared.isLockedOut(flow.clientAddress, nil, at: now) else { return Verdict(.drop, .lockedOut) }
        // It acknowledges the SYN, and with it what that carried.
        let found = position(of: flow, at: now) { handshake in
            -Int(segment.acknowledgmentNumber &- handshake.clientISN &- 1)
        }
        guard let position = found else { return Verdict(.drop, .synAckWithoutHandshake) }
        // Its third ACK would not come here to be judged.
        guard !isOnVerified || handshakes[position].isVerified else { return Verdict(.drop, .synAckOnVerified) }
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
