// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// A handshake whose code has been used, and whose key it was made with.
struct UsedCode: Hashable {
    let handshake: Handshake
    let key: KeyID
}

/// The handshakes whose codes have been used (docs/PROTOCOL.md §4, steps 5 and 6).
struct ReplayCache: ~Copyable {
    /// A code of slot T is accepted from the first second of T - 1 to the last of T + 1.
    private static let lifetime = UInt64(3 * TimeSlot.seconds) * 1000

    private var used: ExpiringTable<UsedCode, TimeSlot>
    /// The latest slot of which a used code has been forgotten: none of it or before can be told from a replay.
    private var retired: TimeSlot?
    private let usesTime: Bool

    /// Reserves room for so many used codes.
    ///
    /// Without time a code never expires; then the oldest gives way.
    init(capacity: Int, usesTime: Bool) {
        used = ExpiringTable(capacity: capacity, lifetime: usesTime ? Self.lifetime : .max / 2)
        self.usesTime = usesTime
    }

    /// Why a handshake with a right code of `slot` may not begin; nil if it may, and then it is remembered.
    mutating func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        used.removeExpired(at: now.uptime) { _, slot in
            retired = max(retired ?? slot, slot)
        }
        if usesTime, let retired, slot <= retired { return .synOfRetiredSlot }
        if used.position(of: code, at: now.uptime) != nil { return .synReplayed }
        if usesTime, used.count == used.capacity { return .replayCacheFull }
        used.insert(code, slot, at: now.uptime)
        return nil
    }

    /// Notes that a retransmission used another code of a handshake, of a later slot perhaps: that one is used up too.
    mutating func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) {
        guard let position = used.position(of: code, at: now.uptime) else { return }
        used[position] = max(used[position], slot)
        used.renew(position, at: now.uptime)
    }
}
