// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// The engine of the server side (docs/PROTOCOL.md §4, §5 and §6).
public struct ServerEngine: Engine, ~Copyable {
    /// The settings of the engine.
    public struct Configuration: Equatable, Sendable {
        /// The protected ports.
        public var targetPorts: [UInt16]
        /// The sources that need no knock.
        ///
        /// The firewall rules do not queue their packets; this applies to any that are queued anyway.
        public var exempt: [IPPrefix] = []
        /// The duration of a lockout after a wrong third ACK, in seconds.
        public var lockoutSeconds: UInt32
        /// Whether a wrong third ACK locks out everybody at its address, even if there is more than one guest
        /// (docs/PROTOCOL.md §6.3).
        public var locksOutEverybody = false
        /// The maximum number of handshakes per second and guest, if there is more than one guest; 0 means no limit.
        public var guestSYNRate: UInt32
        /// Whether codes depend on the time.
        public var usesTime = true
        /// The largest number of guests for which all keys are tried if the hint finds none.
        ///
        /// Every SYN with a wrong code then costs one computation per guest.
        public var mostKeysTried = GuestList.fewGuests
        /// Whether a protected port answers like a closed one; otherwise it stays silent, as behind a firewall.
        public var looksClosed = false
        /// Whether a SYN may carry data (RFC 7413), which reaches the service before the third ACK is judged.
        public var acceptsFastOpen = false
        /// The number of wrong codes within `wrongCodeSeconds` that locks out their source; 0 means no limit.
        public var wrongCodeLimit: UInt32 = 0
        /// The period over which wrong codes are counted, in seconds.
        public var wrongCodeSeconds: UInt32
        /// Which verdicts cause an event, besides those that always do.
        public var reporting: Ledger.Reporting = []
        /// The maximum number of handshakes in progress; beyond it, the guest with the most loses its oldest.
        public var handshakeCapacity = 65_536
        /// The maximum number of used codes that are remembered; beyond it, no handshake begins until one expires.
        ///
        /// Each takes 40 bytes, allocated as needed. Without time, at most 262,144 codes are remembered.
        public var replayCapacity = 2_621_440
        /// The maximum number of lockouts; beyond it, the oldest lockout of the guest with the most ends early.
        public var lockoutCapacity = 65_536

        public init(targetPorts: [UInt16], lockoutSeconds: UInt32, guestSYNRate: UInt32, wrongCodeSeconds: UInt32) {
            self.targetPorts = targetPorts
            self.lockoutSeconds = lockoutSeconds
            self.guestSYNRate = guestSYNRate
            self.wrongCodeSeconds = wrongCodeSeconds
        }

        /// Returns whether a wrong third ACK locks out the whole address; with a single guest it always does.
        ///
        /// - Parameter guestCount: The number of guests.
        /// - Returns: Whether the whole address is locked out.
        public func locksOutAddresses(guestCount: Int) -> Bool { locksOutEverybody || guestCount <= 1 }
    }

    /// How long a handshake is kept after its last SYN, in milliseconds: longer than any kernel retransmits.
    static let handshakeLifetime: UInt64 = 180_000
    /// How long after the third ACK segments of a connection may still come from the queue, in milliseconds.
    private static let queueDelay: UInt64 = 10_000

    /// The direction in which the client's packets pass this host.
    public static let directionOfClient = Direction.inbound
    /// What to do with bytes that are not a TCP segment.
    public static let actionOnDamage = Verdict.Action.drop

    /// The engine's verdict counters and events.
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

    /// Creates an engine and reserves all memory that its verdicts will need.
    ///
    /// - Parameters:
    ///   - guests: The guests to let in.
    ///   - configuration: The settings.
    ///   - shared: The state shared with the other engines of the server; nil if this is the only one.
    public init(guests: [Guest], configuration: Configuration, shared: SharedState? = nil) {
        self.shared = shared ?? SharedState(configuration)
        self.guests = GuestList(guests, usesTime: configuration.usesTime, mostKeysTried: configuration.mostKeysTried)
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

    /// Changes the guests and all settings that can change at run time: not capacities, nor the use of time.
    ///
    /// Handshakes of guests that remain go on; those of removed guests end.
    public mutating func adopt(guests: [Guest], configuration: Configuration) {
        self.guests = GuestList(guests, usesTime: usesTime, mostKeysTried: configuration.mostKeysTried)
        targetPorts = PortSet(configuration.targetPorts)
        exempt = configuration.exempt
        looksClosed = configuration.looksClosed
        acceptsFastOpen = configuration.acceptsFastOpen
        locksOutAddresses = configuration.locksOutAddresses(guestCount: guests.count)
        handshakes.reserve(guests: guests.count)
        shared.adopt(guestCount: guests.count)
    }

    /// The number of handshakes in the table, including ones that were recently verified or ended.
    public var handshakeCount: Int { handshakes.count }

    /// Returns whether an address is locked out, or a guest at that address.
    public func isLockedOut(_ address: IPAddress, _ key: KeyID? = nil, at now: Instant) -> Bool {
        shared.isLockedOut(address, key, at: now)
    }

    private func isExempt(_ address: IPAddress) -> Bool {
        !exempt.isEmpty && exempt.contains { $0.contains(address) }
    }

    /// Finds the handshake in progress that a segment belongs to.
    ///
    /// There may be several with the same addresses and ports, of different guests, because a sender that forges its
    /// source must not end another guest's handshake. The server's kernel has at most one of them; sequence and
    /// acknowledgment numbers show which.
    ///
    /// - Parameters:
    ///   - flow: The addresses and ports.
    ///   - now: The current time.
    ///   - rank: Returns how well the segment fits a handshake; the best fit is chosen.
    /// - Returns: Its position in the table; nil if there is none for this flow.
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

    /// Returns whether a handshake is still in progress: not ended, also not by a lockout or the removal of its guest.
    private func isUnderWay(_ position: Int, from address: IPAddress, at now: Instant) -> Bool {
        if handshakes[position].isEnded { return false }
        let (key, age) = (handshakes[position].key, handshakes[position].age(at: now.uptime))
        let standing = shared.lockouts.standing(of: address, key, at: now.uptime)
        if let since = standing.since, now.uptime &- age <= since { return false }
        return guests.position(of: key) != nil
    }

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
        switch direction {
        case .inbound:
            let verdict = decideInbound(packet, flow, at: now)
            // On a verified connection, the RST would be taken for one of that connection.
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
            case .begun, .ended: 1
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

    /// Decides on a SYN (phase 1).
    private mutating func decideSYN(_ packet: borrowing Packet, _ flow: Flow, at now: Instant) -> Verdict {
        let code = packet.segment.acknowledgmentNumber
        let handshake = Handshake(clientAddress: flow.clientAddress, clientISN: packet.segment.sequenceNumber)
        guard
            let match = guests.match(code, hint: KeyHint.number(in: packet.identifier), handshake, slot: now.slot)
        else {
            let isLockedOut = shared.countWrongCode(from: flow.clientAddress, at: now)
            return Verdict(.drop, isLockedOut ? .tooManyWrongCodes : .synWithWrongCode)
        }
        let guest = guests.guests[match.position]
        let used = UsedCode(handshake: match.handshake, key: guest.id)
        ledger.note(guest.id, match.mode)
        guard !shared.isLockedOut(flow.clientAddress, guest.id, at: now) else { return Verdict(.drop, .lockedOut) }
        if let refusal = guest.refusal(of: flow, at: now) { return Verdict(.drop, refusal) }
        guard acceptsFastOpen || !packet.hasData else { return Verdict(.drop, .synWithData) }
        // The kernel would discard a damaged SYN, so it must not use up a code or an entry in a table first. (A SYN
        // with much data is only partly copied here, so it cannot be checked.)
        guard !packet.isComplete || packet.hasValidTCPChecksum else { return Verdict(.drop, .synDamaged) }
        if let known = sameSYN(flow, handshake.clientISN, at: now) {
            guard handshakes[known].key == guest.id else { return Verdict(.drop, .synOfOtherHandshake) }
            handshakes.renew(known, at: now.uptime)
            shared.extend(used, slot: match.slot, at: now)
            return Verdict(.accept, .synRetransmitted)
        }
        let name = HandshakeName(flow, guest.id)
        var unanswered = UnansweredLimit()
        if let before = handshakes.position(of: name, at: now.uptime) { unanswered = handshakes[before].unanswered }
        if unanswered.isReached(at: now.uptime) { return Verdict(.drop, .tooManyUnanswered) }
        if let refusal = shared.claim(used, slot: match.slot, at: now) { return Verdict(.drop, refusal) }
        if guest.ports.isEmpty { return Verdict(.drop, .knocked) }
        endVerified(flow, at: now)
        let pending = PendingHandshake(
            match.handshake, key: guest.id, mode: match.mode, after: unanswered, at: now.uptime)
        handshakes.insert(name, pending, of: guest.id, at: now.uptime)
        return Verdict(.accept, .synAccepted)
    }

    /// Finds the unverified handshake that began with the same SYN.
    private func sameSYN(_ flow: Flow, _ clientISN: UInt32, at now: Instant) -> Int? {
        guard let position = position(of: flow, at: now, { $0.hasBegun(with: clientISN) ? 1 : 0 }),
            handshakes[position].hasBegun(with: clientISN)
        else { return nil }
        return position
    }

    /// Ends the verified handshakes of the same flow, so that no segment is taken for one of them.
    private mutating func endVerified(_ flow: Flow, at now: Instant) {
        while let position = position(of: flow, at: now, { $0.isVerified ? 1 : 0 }), handshakes[position].isVerified {
            handshakes[position].end()
        }
    }

    /// Decides on a RST for a handshake that is not verified.
    private mutating func decideRST(_ packet: borrowing Packet, _ flow: Flow, _ position: Int) -> Verdict {
        guard case .answered = handshakes[position].stage else { return Verdict(.accept, .resetBeforeSynAck) }
        guard packet.segment.sequenceNumber == handshakes[position].acknowledged else {
            return Verdict(.drop, .segmentOutOfSequence)
        }
        guard packet.hasValidTCPChecksum else { return Verdict(.drop, .segmentDamaged) }
        handshakes[position].end()
        return Verdict(.accept, .resetOfHandshake)
    }

    /// Decides on the third ACK (phase 3).
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
        handshakes[position].end()
        return Verdict(.drop, reason)
    }

    // MARK: From the server

    /// Decides on a SYN/ACK (phase 2).
    private mutating func decideOutbound(
        _ packet: borrowing Packet, _ flow: Flow, isOnVerified: Bool, at now: Instant
    ) -> Verdict {
        guard targetPorts.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if isExempt(flow.clientAddress) { return Verdict(.accept, .exempt) }
        let segment = packet.segment
        guard segment.flags.isSYNACK else { return Verdict(.drop, .otherSegment) }
        guard packet.isComplete else { return Verdict(.drop, .incompleteCopy) }
        guard !shared.isLockedOut(flow.clientAddress, nil, at: now) else { return Verdict(.drop, .lockedOut) }
        // A SYN/ACK acknowledges the SYN and any data that it carried.
        let found = position(of: flow, at: now) { handshake in
            -Int(segment.acknowledgmentNumber &- handshake.clientISN &- 1)
        }
        guard let position = found else { return Verdict(.drop, .synAckWithoutHandshake) }
        // The third ACK would not be queued here to be judged.
        guard !isOnVerified || handshakes[position].isVerified else { return Verdict(.drop, .synAckOnVerified) }
        ledger.note(handshakes[position].key)
        handshakes[position].answer(
            serverISN: segment.sequenceNumber, acknowledged: segment.acknowledgmentNumber, at: now.uptime)
        guard let rewrite = synAckRewrite(handshakes[position], flow) else {
            return Verdict(.drop, .synAckWithoutHandshake)
        }
        return Verdict(.rewrite(rewrite), .synAckMasked)
    }

    /// Returns the changes to make to a SYN/ACK; nil if its guest was removed.
    private func synAckRewrite(_ pending: PendingHandshake, _ flow: Flow) -> HeaderRewrite? {
        guard let position = guests.position(of: pending.key) else { return nil }
        let keys = guests.guests[position].keys
        let handshake = pending.handshake(from: flow.clientAddress)
        let nonce = ServerProof.nonce(
            keys: keys, handshake: handshake, serverISN: pending.serverISN, mode: pending.mode,
            family: flow.clientAddress.family)
        let mask = ISNMask(keys: keys, handshake: handshake, nonce: nonce, mode: pending.mode)
        return HeaderRewrite(sequenceNumber: mask.mask(pending.serverISN), identifier: nonce)
    }
}
