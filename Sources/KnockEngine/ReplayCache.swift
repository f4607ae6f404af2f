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

    private var used: ExpiringTable<UsedCode, TimeSlot>
    /// The latest slot of which a used code has been forgotten: none of it or before can be told from a replay.
    private(set) var retired: TimeSlot?
    private let usesTime: Bool
    /// Without time the oldest code gives way, whosesoever it is, so that there is always room.
    private var shares: GuestShares

    /// Reserves room for so many used codes.
    ///
    /// Without time a code never expires; then the oldest gives way.
    init(capacity: Int, usesTime: Bool) {
        used = ExpiringTable(capacity: capacity, lifetime: usesTime ? Self.lifetime : .max / 2)
        self.usesTime = usesTime
        shares = GuestShares(capacity: capacity)
    }

    /// How many places are taken, those of codes that have just expired among them, and how many there are.
    var load: (taken: Int, capacity: Int) { (used.count, used.capacity) }

    /// Divides the places anew, among another number of guests.
    mutating func divide(among guests: Int) { shares.divide(among: guests) }

    /// Why a handshake with a right code of `slot` may not begin; nil if it may, and then it is remembered.
    mutating func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        used.removeExpired(at: now.uptime) { code, slot in
            retired = max(retired ?? slot, slot)
            shares.giveBack(code.key)
        }
        if usesTime, let retired, slot <= retired { return .synOfRetiredSlot }
        if used.position(of: code, at: now.uptime) != nil { return .synReplayed }
        guard usesTime else {
            used.insert(code, slot, at: now.uptime)
            return nil
        }
        guard used.count < used.capacity else { return .replayCacheFull }
        guard shares.mayTake(code.key) else { return .guestShareUsed }
        shares.take(code.key)
        used.insert(code, slot, at: now.uptime)
        return nil
    }

    /// Notes that a retransmission used another code of a handshake, of a later slot perhaps: that one is used up too.
    ///
    /// - Returns: The latest slot of its codes; nil if the handshake is not remembered.
    mutating func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> TimeSlot? {
        guard let position = used.position(of: code, at: now.uptime) else { return nil }
        let latest = max(used[position], slot)
        used[position] = latest
        used.renew(position, at: now.uptime)
        return latest
    }

    // MARK: What outlives the process

    /// When a code that is used now will be forgotten.
    func deadline(at now: Instant) -> UInt64 { now.uptime &+ used.lifetime }

    /// What is in some of the places of the table, and whether there are places beyond.
    func entries(in places: Range<Int>, at uptime: UInt64) -> (found: [SharedState.Entry], isAll: Bool) {
        var found: [SharedState.Entry] = []
        let isMore = used.forEach(in: places, at: uptime) { code, slot, deadline in
            found.append(.usedCode(code, slot, deadline: deadline))
        }
        return (found, !isMore)
    }

    /// Takes up used codes of before, in the order of their deadlines.
    ///
    /// What has expired meanwhile, or finds no room, is forgotten as ever: with its slot. Without time there are no
    /// deadlines.
    mutating func restore(_ code: UsedCode, _ slot: TimeSlot, deadline: UInt64, at now: Instant) {
        guard !usesTime || deadline > now.uptime, used.count < used.capacity || !usesTime else {
            retire(slot)
            return
        }
        used.restore(code, slot, deadline: usesTime ? deadline : .max, at: now.uptime)
        if usesTime { shares.take(code.key) }
    }

    /// Refuses from now on what is of this slot or before.
    mutating func retire(_ slot: TimeSlot) { retired = max(retired ?? slot, slot) }
}
