// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// The handshakes whose codes have been used (docs/PROTOCOL.md §4, steps 5 to 7).
struct ReplayCache: ~Copyable {
    /// How long a used code is remembered, in milliseconds: a code of slot T is accepted during T - 1, T and T + 1.
    private static let lifetime = UInt64(3 * TimeSlot.seconds) * 1000
    /// The maximum number of codes remembered if time is not used.
    private static let timelessCapacity = 262_144
    /// The number of old codes checked for expiry with each new one: several, so that expired codes do not pile up.
    private static let removedForOne = 4
    /// The number of old codes checked for expiry before a new one is refused for lack of room.
    private static let removedForRoom = 64

    private var used: UsedCodeTable
    /// Used instead if codes do not depend on the time: no code expires, and a full table loses its oldest, of any
    /// guest.
    private var timeless: ExpiringTable<UsedCode, Void>
    private let usesTime: Bool
    private var slots = UsedSlots(lifetime: lifetime)
    /// The slot of the latest code, if that code was the first of its slot; otherwise nil.
    private var begun: SlotSpan?
    private var isOverfull = false
    private var shares: GuestShares

    /// Creates an empty cache with memory for the first codes.
    ///
    /// - Parameters:
    ///   - capacity: The maximum number of codes.
    ///   - usesTime: Whether codes depend on the time.
    init(capacity: Int, usesTime: Bool) {
        self.usesTime = usesTime
        used = UsedCodeTable(capacity: usesTime ? capacity : 1)
        timeless = ExpiringTable(
            capacity: usesTime ? 1 : min(capacity, Self.timelessCapacity), lifetime: .max / 2)
        shares = GuestShares(capacity: capacity)
    }

    /// The number of entries, including expired ones that have not been removed yet, and the maximum.
    var load: (taken: Int, capacity: Int) {
        usesTime ? (used.count, used.capacity) : (timeless.count, timeless.capacity)
    }

    /// Divides the table among a new number of guests.
    mutating func divide(among guests: Int) { shares.divide(among: guests) }

    /// Claims a valid code of `slot` for a handshake, and remembers it.
    ///
    /// - Returns: Why the handshake is refused; nil if the code is its own now.
    mutating func claim(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
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

    /// Returns why a guest may not have one more entry.
    ///
    /// - Parameters:
    ///   - key: The guest.
    ///   - place: The place of an expired entry of the guest that would be reused; nil if there is none.
    /// - Returns: The reason; nil if the guest may.
    private mutating func wantOfRoom(_ key: KeyID, _ place: UInt32?) -> Reason? {
        guard place != nil else {
            guard used.hasRoom else { return .replayCacheFull }
            return shares.mayTake(key) ? nil : .guestShareUsed
        }
        shares.giveBack(key)
        defer { shares.take(key) }
        return shares.mayTake(key) ? nil : .guestShareUsed
    }

    /// Notes that a retransmission used another code of a handshake, possibly of a later slot.
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

    /// Returns the slot of the latest code, once, if that code was the first of its slot; otherwise nil.
    mutating func takeBegunSlot() -> SlotSpan? {
        guard begun != nil else { return nil }
        return begun.take()
    }

    // MARK: Room

    /// Removes expired codes, looking at a limited number of codes.
    ///
    /// - Returns: Whether all expired codes have been removed.
    mutating func removeExpired(at uptime: UInt64, atMost limit: Int) -> Bool {
        used.removeExpired(at: uptime, atMost: limit) { shares.giveBack($0) }
    }

    /// Gives access to the table of codes that expire, to add and remove memory.
    mutating func withTable<Result>(_ body: (inout UsedCodeTable) -> Result) -> Result { body(&used) }

    // MARK: What outlives the process

    /// Returns when a code used now will be forgotten, in milliseconds of uptime.
    func deadline(at now: Instant) -> UInt64 {
        now.uptime &+ (usesTime ? Self.lifetime : .max / 2)
    }

    /// The slots of which codes were used.
    var spans: [SlotSpan] { slots.spans }

    /// Returns the entries in a range of places, and whether these were the last places.
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

    /// Restores a used code of an earlier process; if time is not used, to be called in the order of deadlines.
    ///
    /// An expired code is left out, because its slot is retired by then. If there is no room, all slots are retired
    /// instead.
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

    /// Restores slots of an earlier process.
    mutating func restore(_ span: SlotSpan, at now: Instant) {
        guard usesTime else { return }
        let latest = isOverfull ? 0 : deadline(at: now)
        slots.insert(SlotSpan(span.first, span.last, retires: min(span.retires, latest)), at: now)
    }
}
