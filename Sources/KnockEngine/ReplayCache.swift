// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol

/// A handshake whose code has been used, and whose key it was made with.
public struct UsedCode: Hashable, Sendable {
    /// `A` and `C`.
    public let handshake: Handshake
    /// Whose key.
    public let key: KeyID

    /// Takes both.
    public init(handshake: Handshake, key: KeyID) {
        self.handshake = handshake
        self.key = key
    }
}

/// The handshakes whose codes have been used (docs/PROTOCOL.md §4, steps 5 and 6).
struct ReplayCache: ~Copyable {
    /// A code of slot T is accepted from the first second of T - 1 to the last of T + 1.
    private static let lifetime = UInt64(3 * TimeSlot.seconds) * 1000
    /// Without time so many codes are remembered at most.
    private static let timelessCapacity = 262_144
    /// How many codes of before a new one removes, which is more than come in.
    private static let removedForOne = 4
    /// How many it removes before it is refused for want of room.
    private static let removedForRoom = 64

    private var used: UsedCodeTable
    /// Where time is not used: a code never expires, but the oldest gives way, whosesoever it is.
    private var timeless: ExpiringTable<UsedCode, Void>
    private let usesTime: Bool
    private var slots = UsedSlots(lifetime: lifetime)
    /// The slot of which the latest code was the first one; nil if it was not.
    private var begun: SlotSpan?
    private var isOverfull = false
    private var shares: GuestShares

    /// Makes room for the first used codes.
    ///
    /// - Parameters:
    ///   - capacity: How many there can be.
    ///   - usesTime: Whether codes depend on the time.
    init(capacity: Int, usesTime: Bool) {
        self.usesTime = usesTime
        used = UsedCodeTable(capacity: usesTime ? capacity : 1)
        timeless = ExpiringTable(
            capacity: usesTime ? 1 : min(capacity, Self.timelessCapacity), lifetime: .max / 2)
        shares = GuestShares(capacity: capacity)
    }

    /// How many places are taken, those of codes that have just expired among them, and how many there are at most.
    var load: (taken: Int, capacity: Int) {
        usesTime ? (used.count, used.capacity) : (timeless.count, timeless.capacity)
    }

    /// Divides the places anew, among another number of guests.
    mutating func divide(among guests: Int) { shares.divide(among: guests) }

    /// Why a handshake with a right code of `slot` may not begin; nil if it may, and then it is remembered.
    mutating func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        guard usesTime else {
            if timeless.position(of: code, at: now.uptime) != nil { return .synReplayed }
            timeless.insert(code, (), at: now.uptime)
            return nil
        }
        _ = removeExpired(at: now.uptime, atMost: Self.removedForOne)
        let span = slots.position(of: slot)
        if let span, slots.isRetired(span, at: now.uptime) { return .synOfRetiredSlot }
        var place = used.find(code)
        if let place, used.isLive(place, at: now.uptime) { return .synReplayed }
        if wantOfRoom(code.key, place) != nil {
            _ = removeExpired(at: now.uptime, atMost: Self.removedForRoom)
            place = used.find(code)
            if let reason = wantOfRoom(code.key, place) { return reason }
        }
        if let place {
            used.renew(place, until: deadline(at: now))
        } else {
            shares.take(code.key)
            used.insert(code, until: deadline(at: now))
        }
        if span == nil { begun = slots.begin(slot, at: now) }
        return nil
    }

    /// Finds out why a guest may not have one more place.
    ///
    /// - Parameters:
    ///   - key: The guest.
    ///   - place: A place that is the guest's already, of a code whose time is over; nil if there is none.
    /// - Returns: nil if they may.
    private mutating func wantOfRoom(_ key: KeyID, _ place: UInt32?) -> Reason? {
        guard place != nil else {
            guard used.hasRoom else { return .replayCacheFull }
            return shares.mayTake(key) ? nil : .guestShareUsed
        }
        shares.giveBack(key)
        defer { shares.take(key) }
        return shares.mayTake(key) ? nil : .guestShareUsed
    }

    /// Notes that a retransmission used another code of a handshake, of a later slot perhaps: that one is used up too.
    ///
    /// - Returns: Whether the handshake is remembered.
    mutating func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Bool {
        guard usesTime else {
            guard let position = timeless.position(of: code, at: now.uptime) else { return false }
            timeless.renew(position, at: now.uptime)
            return true
        }
        guard let place = used.find(code), used.isLive(place, at: now.uptime) else { return false }
        used.renew(place, until: deadline(at: now))
        if slots.position(of: slot) == nil { begun = slots.begin(slot, at: now) }
        return true
    }

    /// The slot of which the latest code was the first one, once; nil if it was not.
    mutating func takeBegunSlot() -> SlotSpan? {
        guard begun != nil else { return nil }
        return begun.take()
    }

    // MARK: Room

    /// Removes codes whose time is over, so many at most.
    ///
    /// - Returns: Whether none is left.
    mutating func removeExpired(at uptime: UInt64, atMost limit: Int) -> Bool {
        used.removeExpired(at: uptime, atMost: limit) { shares.giveBack($0) }
    }

    /// Calls for the table with codes that expire, to bring memory and take it away.
    mutating func withTable<Result>(_ body: (inout UsedCodeTable) -> Result) -> Result { body(&used) }

    // MARK: What outlives the process

    /// When a code that is used now will be forgotten, in milliseconds of uptime.
    func deadline(at now: Instant) -> UInt64 {
        now.uptime &+ (usesTime ? Self.lifetime : .max / 2)
    }

    /// The slots of which codes were used.
    var spans: [SlotSpan] { slots.spans }

    /// What is in some of the places of the table, and whether there are places beyond.
    func entries(in places: Range<Int>, at uptime: UInt64) -> (found: [SharedState.Entry], isAll: Bool) {
        var found: [SharedState.Entry] = []
        guard usesTime else {
            let isMore = timeless.forEach(in: places, at: uptime) { code, _, deadline in
                found.append(.usedCode(code, deadline: deadline))
            }
            return (found, !isMore)
        }
        let isMore = used.forEach(in: places, at: uptime) { found.append(.usedCode($0, deadline: $1)) }
        return (found, !isMore)
    }

    /// Takes up used codes of before; where time is not used, in the order of their deadlines.
    ///
    /// What is over is left out: its slot tells. So it does if there is no room: all slots are retired then.
    mutating func restore(_ code: UsedCode, deadline: UInt64, at now: Instant) {
        guard usesTime else {
            timeless.restore(code, (), deadline: .max, at: now.uptime)
            return
        }
        guard deadline > now.uptime else { return }
        let end = min(deadline, self.deadline(at: now))
        if let place = used.find(code) {
            used.renew(place, until: end)
        } else if used.hasRoom {
            shares.take(code.key)
            used.insert(code, until: end)
        } else {
            isOverfull = true
            slots.retireAll()
        }
    }

    /// Takes up slots of before.
    mutating func restore(_ span: SlotSpan, at now: Instant) {
        guard usesTime else { return }
        let latest = isOverfull ? 0 : deadline(at: now)
        slots.insert(SlotSpan(span.first, span.last, retires: min(span.retires, latest)), at: now)
    }
}
