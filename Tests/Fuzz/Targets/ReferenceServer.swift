// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import Settings
internal import TestSupport
internal import Wire

/// The server's side as docs/PROTOCOL.md has it, slow and obvious, to compare with.
struct ReferenceServer {
    /// A handshake under way (§6).
    struct Pending {
        let guest: Guest
        let handshake: Handshake
        let mode: MaskMode
        let begun: UInt64
        /// `S` of the latest SYN/ACK, and of the one before with another; none before the first.
        var serverISNs: [UInt32] = []
        /// `F`.
        var acknowledged: UInt32 = 0
        var verified: UInt64?
        var hasEnded = false
        /// The SYN/ACKs left unanswered between these ends so far, in seconds that they count, and when that was so.
        var unanswered: (seconds: UInt64, time: UInt64) = (0, 0)

        /// The same now, in whole seconds.
        func unanswered(at now: Instant) -> UInt64 {
            unanswered.seconds - min(unanswered.seconds, now.uptime / 1000 - unanswered.time)
        }
    }

    /// What a handshake is known by.
    struct Name: Equatable {
        let flow: Flow
        let guest: KeyID
    }

    private struct Used: Equatable {
        let guest: KeyID
        let handshake: Handshake
    }

    private struct Lockout {
        let since: UInt64
        var until: UInt64
    }

    private(set) var configuration: ServerEngine.Configuration
    private(set) var guests: [Guest]
    private var ports: Set<UInt16>
    private(set) var pending: PlainTable<Name, Pending>
    private var used: PlainTable<Used, Void>
    private var slots = ReferenceSlots()
    private var lockouts: PlainTable<KnockEngine.Lockout.Subject, Lockout>
    private var wrongCodes: [IPAddress: (count: UInt32, deadline: UInt64)] = [:]
    private var buckets: [KeyID: (tokens: UInt64, time: UInt64)] = [:]
    private var now = FuzzGuests.start

    init(guests: [Guest], _ configuration: ServerEngine.Configuration) {
        self.configuration = configuration
        self.guests = guests
        ports = Set(configuration.targetPorts)
        pending = PlainTable(capacity: configuration.handshakeCapacity, lifetime: 180_000) { Int($0.guest.number) }
        used = PlainTable(
            capacity: configuration.replayCapacity, lifetime: configuration.usesTime ? 180_000 : .max / 2)
        lockouts = PlainTable(
            capacity: configuration.lockoutCapacity, lifetime: UInt64(configuration.lockoutSeconds) * 1000 + 180_000
        ) { $0.key.map { Int($0.number) } ?? -1 }
    }

    private var locksOutAddresses: Bool { configuration.locksOutEverybody || guests.count < 2 }

    mutating func adopt(guests: [Guest], _ configuration: ServerEngine.Configuration) {
        if configuration.wrongCodeLimit != self.configuration.wrongCodeLimit { wrongCodes = [:] }
        self.guests = guests
        self.configuration = configuration
        buckets = [:]
        ports = Set(configuration.targetPorts)
        lockouts.lifetime = UInt64(configuration.lockoutSeconds) * 1000 + 180_000
    }

    func isLockedOut(_ address: IPAddress, _ guest: KeyID?, at now: Instant) -> Bool {
        let subject = KnockEngine.Lockout.Subject(address, guest)
        return lockouts.find(subject, at: now.uptime).map { now.uptime < $0.until } ?? false
    }

    /// Whether there was a lockout.
    mutating func unlock(_ address: IPAddress, at now: Instant) -> Bool {
        var isAny = false
        for subject in lockouts.keys where subject.address == address {
            guard var lockout = lockouts.find(subject, at: now.uptime), now.uptime < lockout.until else { continue }
            lockout.until = now.uptime
            lockouts.replace(subject, lockout)
            isAny = true
        }
        return isAny
    }

    /// The handshakes between the same ends that have not ended.
    func handshakes(_ flow: Flow, at now: Instant) -> [Pending] {
        pending.findAll(at: now.uptime) { $0.flow == flow }.filter { !$0.hasEnded }.filter { found in
            for guest in [nil, found.guest.id] {
                let subject = KnockEngine.Lockout.Subject(flow.clientAddress, guest)
                if let lockout = lockouts.find(subject, at: now.uptime), found.begun <= lockout.since { return false }
            }
            return guests.contains { $0.id == found.guest.id }
        }
    }

    /// Some handshake between these ends that has not ended.
    func handshake(_ flow: Flow, at now: Instant) -> Pending? { handshakes(flow, at: now).last }

    /// What is to become of a packet.
    mutating func judge(
        _ packet: ParsedPacket, _ flow: Flow, _ direction: Direction, isChecksumRight: Bool, isMarked: Bool,
        at now: Instant
    ) -> Verdict {
        self.now = now
        guard direction == .inbound else { return answer(packet, flow, isMarked: isMarked) }
        let verdict = judge(packet, flow, isChecksumRight: isChecksumRight)
        // What is in the name of a client who may be in the middle of a handshake is not answered.
        let quiet: [Reason] = [
            .otherPort, .synDamaged, .synWithData, .tooManyUnanswered, .segmentBeforeSynAck, .segmentOutOfSequence,
            .segmentDamaged,
        ]
        guard configuration.looksClosed, !isMarked, verdict.action == .drop, !quiet.contains(verdict.reason) else {
            return verdict
        }
        return Verdict(.reset, verdict.reason)
    }

    private mutating func judge(_ packet: ParsedPacket, _ flow: Flow, isChecksumRight: Bool) -> Verdict {
        guard ports.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if configuration.exempt.contains(where: { $0.contains(flow.clientAddress) }) {
            return Verdict(.accept, .exempt)
        }
        let isSYN = packet.flags.intersection([.syn, .ack, .rst, .fin]) == .syn
        if isSYN, packet.acknowledgmentNumber == 0 { return Verdict(.drop, .synWithoutCode) }
        if isLockedOut(flow.clientAddress, nil, at: now) { return Verdict(.drop, .lockedOut) }
        if isSYN { return begin(packet, flow, isChecksumRight: isChecksumRight) }
        if packet.flags.contains(.syn) || packet.flags.isDisjoint(with: [.ack, .rst]) {
            return Verdict(.drop, .impossibleFlags)
        }
        let all = handshakes(flow, at: now)
        let unverified = all.filter { $0.verified == nil }
        let answered = unverified.filter { !$0.serverISNs.isEmpty }
        let named = answered.first { $0.acknowledged == packet.sequenceNumber }
        if named == nil, all.contains(where: { $0.verified.map { now.uptime - $0 < 10_000 } ?? false }) {
            return Verdict(.acceptAsVerified, .segmentOfVerified)
        }
        guard var found = named ?? answered.first ?? unverified.first else {
            return Verdict(.drop, .segmentWithoutHandshake)
        }
        let name = Name(flow: flow, guest: found.guest.id)
        let isRST = packet.flags.contains(.rst)
        guard let latest = found.serverISNs.first else {
            return isRST ? Verdict(.accept, .resetBeforeSynAck) : Verdict(.drop, .segmentBeforeSynAck)
        }
        guard packet.sequenceNumber == found.acknowledged else { return Verdict(.drop, .segmentOutOfSequence) }
        if isRST {
            guard isChecksumRight else { return Verdict(.drop, .segmentDamaged) }
            end(name, found)
            return Verdict(.accept, .resetOfHandshake)
        }
        if found.serverISNs.contains(packet.acknowledgmentNumber &- 1) {
            found.verified = now.uptime
            let left = found.unanswered(at: now)
            found.unanswered = (left - min(left, 10), now.uptime / 1000)
            pending.replace(name, found)
            return Verdict(.acceptAsVerified, .acknowledgmentVerified)
        }
        guard isChecksumRight else { return Verdict(.drop, .segmentDamaged) }
        end(name, found)
        lockOut(flow.clientAddress, locksOutAddresses ? nil : found.guest.id)
        let isMasked = packet.acknowledgmentNumber &- 1 == Self.rewrite(found, flow, latest).sequenceNumber
        return Verdict(.drop, isMasked ? .maskedAcknowledgment : .wrongAcknowledgment)
    }

    /// What has ended is kept for what was left unanswered.
    private mutating func end(_ name: Name, _ found: Pending) {
        var ended = found
        ended.hasEnded = true
        pending.replace(name, ended)
    }

    // MARK: §4

    private mutating func begin(_ packet: ParsedPacket, _ flow: Flow, isChecksumRight: Bool) -> Verdict {
        guard let (guest, handshake, mode, slot) = match(packet, flow) else {
            return Verdict(.drop, countWrongCode(flow.clientAddress) ? .tooManyWrongCodes : .synWithWrongCode)
        }
        if isLockedOut(flow.clientAddress, guest.id, at: now) { return Verdict(.drop, .lockedOut) }
        if let expires = guest.expires, now.unixSeconds >= expires { return Verdict(.drop, .guestExpired) }
        if !guest.networks.isEmpty, !guest.networks.contains(where: { $0.contains(flow.clientAddress) }) {
            return Verdict(.drop, .guestFromOtherNetwork)
        }
        if !guest.ports.isEmpty, !guest.ports.contains(flow.serverPort) { return Verdict(.drop, .guestAtOtherPort) }
        let hasData = packet.totalLength > packet.transportOffset + packet.headerLength
        guard configuration.acceptsFastOpen || !hasData else { return Verdict(.drop, .synWithData) }
        guard isChecksumRight || !packet.isComplete else { return Verdict(.drop, .synDamaged) }

        let code = Used(guest: guest.id, handshake: handshake)
        let sameSYN = handshakes(flow, at: now).first {
            $0.verified == nil && $0.handshake.clientISN == handshake.clientISN
        }
        if let found = sameSYN {
            guard found.guest.id == guest.id else { return Verdict(.drop, .synOfOtherHandshake) }
            pending.insert(Name(flow: flow, guest: guest.id), found, at: now.uptime)
            if used.find(code, at: now.uptime) != nil { use(code, slot) }
            return Verdict(.accept, .synRetransmitted)
        }
        let before = pending.find(Name(flow: flow, guest: guest.id), at: now.uptime)
        let unanswered = before?.unanswered(at: now) ?? 0
        if unanswered > 150 { return Verdict(.drop, .tooManyUnanswered) }
        let rate = UInt64(configuration.guestSYNRate)
        var tokens = rate * 10_000
        if let bucket = buckets[guest.id] { tokens = min(tokens, bucket.tokens + (now.uptime - bucket.time) * rate) }
        if rate > 0, guests.count > 1, tokens < 1000 { return Verdict(.drop, .guestTooFast) }
        _ = used.removeExpired(at: now.uptime)
        if configuration.usesTime, slots.isRetired(slot, at: now) { return Verdict(.drop, .synOfRetiredSlot) }
        if used.find(code, at: now.uptime) != nil { return Verdict(.drop, .synReplayed) }
        if configuration.usesTime {
            if used.count == used.capacity { return Verdict(.drop, .replayCacheFull) }
            // Half of the room is divided among the guests, the other half is for whoever comes first.
            let share = used.capacity / 2 / max(guests.count, 1)
            let owners = Dictionary(grouping: used.keys) { $0.guest }.mapValues(\.count)
            let beyond = owners.values.reduce(0) { $0 + max(0, $1 - share) }
            if owners[guest.id, default: 0] >= share, beyond >= used.capacity - share * max(guests.count, 1) {
                return Verdict(.drop, .guestShareUsed)
            }
        }
        use(code, slot)
        if rate > 0 { buckets[guest.id] = (tokens - 1000, now.uptime) }
        if guest.ports.isEmpty { return Verdict(.drop, .knocked) }
        var begun = Pending(guest: guest, handshake: handshake, mode: mode, begun: now.uptime)
        begun.unanswered = (unanswered, now.uptime / 1000)
        for found in handshakes(flow, at: now) where found.verified != nil {
            end(Name(flow: flow, guest: found.guest.id), found)
        }
        pending.insert(Name(flow: flow, guest: guest.id), begun, at: now.uptime)
        return Verdict(.accept, .synAccepted)
    }

    /// A code is remembered to the end of a second.
    private mutating func use(_ code: Used, _ slot: TimeSlot) {
        if configuration.usesTime {
            used.lifetime = (now.uptime + 180_999) / 1000 * 1000 - now.uptime
            slots.use(slot, at: now)
        }
        used.insert(code, (), at: now.uptime)
    }

    private func match(_ packet: ParsedPacket, _ flow: Flow) -> (Guest, Handshake, MaskMode, TimeSlot)? {
        let number = now.slot.number
        let slots =
            configuration.usesTime
            ? [now.slot, TimeSlot(number: number + 1), TimeSlot(number: number == 0 ? 0 : number - 1)] : [.timeless]
        let triesAll = guests.count <= configuration.mostKeysTried
        for slot in slots {
            for guest in guests {
                let hint = KeyHint(keys: guest.keys, slot: slot).identifier(.ipv4)
                guard triesAll || hint == packet.identifier & 0xffff else { continue }
                let own = Handshake(clientAddress: flow.clientAddress, clientISN: packet.sequenceNumber)
                for handshake in guest.isRoaming ? [own, .roaming(clientISN: packet.sequenceNumber)] : [own] {
                    let code = SYNCode(keys: guest.keys, handshake: handshake, slot: slot)
                    if packet.acknowledgmentNumber == code.full { return (guest, handshake, .full, slot) }
                    if packet.acknowledgmentNumber == code.windowed { return (guest, handshake, .windowed, slot) }
                }
            }
        }
        return nil
    }

    private mutating func countWrongCode(_ address: IPAddress) -> Bool {
        guard configuration.wrongCodeLimit > 0 else { return false }
        var (count, deadline) = (UInt32(0), now.uptime + UInt64(configuration.wrongCodeSeconds) * 1000)
        if let found = wrongCodes[address], found.deadline > now.uptime { (count, deadline) = found }
        wrongCodes[address] = (count + 1, deadline)
        guard count + 1 >= configuration.wrongCodeLimit else { return false }
        wrongCodes[address] = nil
        lockOut(address, nil)
        return true
    }

    private mutating func lockOut(_ address: IPAddress, _ guest: KeyID?) {
        let until = now.uptime + UInt64(configuration.lockoutSeconds) * 1000
        let subject = KnockEngine.Lockout.Subject(address, guest)
        lockouts.insert(subject, Lockout(since: now.uptime, until: until), at: now.uptime)
    }

    // MARK: §5

    private mutating func answer(_ packet: ParsedPacket, _ flow: Flow, isMarked: Bool) -> Verdict {
        guard ports.contains(flow.serverPort) else { return Verdict(.drop, .otherPort) }
        if configuration.exempt.contains(where: { $0.contains(flow.clientAddress) }) {
            return Verdict(.accept, .exempt)
        }
        guard packet.flags.intersection([.syn, .ack, .rst, .fin]) == [.syn, .ack] else {
            return Verdict(.drop, .otherSegment)
        }
        guard packet.isComplete else { return Verdict(.drop, .incompleteCopy) }
        if isLockedOut(flow.clientAddress, nil, at: now) { return Verdict(.drop, .lockedOut) }
        let nearest = handshakes(flow, at: now).min {
            packet.acknowledgmentNumber &- 1 &- $0.handshake.clientISN
                < packet.acknowledgmentNumber &- 1 &- $1.handshake.clientISN
        }
        guard var found = nearest else { return Verdict(.drop, .synAckWithoutHandshake) }
        if isMarked, found.verified == nil { return Verdict(.drop, .synAckOnVerified) }
        if found.verified == nil, found.serverISNs.first != packet.sequenceNumber {
            found.unanswered = (found.unanswered(at: now) + 10, now.uptime / 1000)
            found.serverISNs = [packet.sequenceNumber] + found.serverISNs.prefix(1)
        }
        found.acknowledged = packet.acknowledgmentNumber
        pending.replace(Name(flow: flow, guest: found.guest.id), found)
        return Verdict(.rewrite(Self.rewrite(found, flow, found.serverISNs.first ?? 0)), .synAckMasked)
    }

    /// What a SYN/ACK is to carry.
    static func rewrite(_ pending: Pending, _ flow: Flow, _ serverISN: UInt32) -> HeaderRewrite {
        let keys = pending.guest.keys
        let nonce = ServerProof.nonce(
            keys: keys, handshake: pending.handshake, serverISN: serverISN, mode: pending.mode,
            family: flow.clientAddress.family)
        let mask = ISNMask(keys: keys, handshake: pending.handshake, nonce: nonce, mode: pending.mode)
        return HeaderRewrite(sequenceNumber: mask.mask(serverISN), identifier: nonce)
    }
}
