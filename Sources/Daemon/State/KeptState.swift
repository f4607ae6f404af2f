// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import Wire

/// What an earlier daemon has left, in terms of this one: its numbers for guests, the uptime of this boot.
///
/// Where it cannot be known how much time has gone by, things are kept longer rather than shorter, but never longer than
/// they could be at first. The wall clock decides nothing: after a start it may be wrong by years.
struct KeptState {
    /// Used codes and lockouts, none twice.
    private(set) var entries: [SharedState.Entry] = []
    /// Connections that were open; none of before the host was started anew.
    private(set) var connections: [Flow: OpenConnection] = [:]
    /// How many of `entries` are lockouts that are not over.
    private(set) var lockouts = 0
    /// How many of them are used codes.
    private(set) var usedCodes = 0

    /// How long a used code is remembered where time is in use, in milliseconds (docs/PROTOCOL.md §4).
    private static let codeLifetime = UInt64(3 * TimeSlot.seconds) * 1000
    /// The longest lockout that settings allow, in milliseconds.
    private static let longestLockout: UInt64 = 86_400_000
    /// A slot later than now by more than this was never a slot of a right clock: a day.
    private static let slotsAhead: UInt64 = 24 * 60

    /// Puts the records of a file together.
    ///
    /// - Parameters:
    ///   - content: The file.
    ///   - boot: This boot.
    ///   - registry: Gives numbers to the guests of the records.
    ///   - now: The time.
    init(_ content: StateFormat.Content, boot: [UInt8], _ registry: KeyRegistry, at now: Instant) {
        // A clock that only goes forward and has gone back is that of another boot, whatever its name.
        let isSameBoot = content.head.boot == boot && content.head.uptime <= now.uptime
        var parties: [UInt32: (name: String, fingerprint: String)] = [:]
        var codes: [UsedCode: Int] = [:]
        var locked: [IPAddress: Lockout] = [:]
        func id(_ party: UInt32) -> KeyID? {
            parties[party].map { registry.id(of: $0.name, fingerprint: $0.fingerprint) }
        }

        for record in content.records {
            switch record {
            case .party(let number, let name, let fingerprint):
                parties[number] = (name, fingerprint)
            case .usedCode(let handshake, let party, let slot, let deadline):
                guard let key = id(party) else { continue }
                let code = UsedCode(handshake: handshake, key: key)
                // The latest that it can be, and for all of it if it is not known how much has gone by. Without time
                // there is no end, and the deadline only says which code is the oldest.
                let latest = slot == .timeless ? UInt64.max : now.uptime &+ Self.codeLifetime
                // One of a slot that a right clock never had is remembered, but must not retire all slots before it.
                let entry = SharedState.Entry.usedCode(
                    code, Self.isFarAhead(slot, now) ? .timeless : slot,
                    deadline: isSameBoot ? min(deadline, latest) : latest)
                if let index = codes[code] {
                    entries[index] = entry
                } else {
                    codes[code] = entries.count
                    entries.append(entry)
                }
            case .retired(let slot):
                if !Self.isFarAhead(slot, now) { entries.append(.retired(slot)) }
            case .lockout(let address, let lockout):
                locked[address] = Self.lockout(lockout, isSameBoot ? nil : content.head.uptime, at: now.uptime)
            case .opened(let flow, let party, let since):
                let since = Instant(unixSeconds: since.unixSeconds, uptime: min(since.uptime, now.uptime))
                connections[flow] = OpenConnection(key: party.flatMap(id), since: since)
            case .ended(let flow):
                connections[flow] = nil
            case .complete:
                break
            }
        }
        if !isSameBoot { connections = [:] }
        entries += locked.map { .lockout($0.key, $0.value) }
        lockouts = locked.values.count { now.uptime < $0.until }
        usedCodes = entries.count { entry in
            if case .usedCode(_, _, let deadline) = entry { now.uptime < deadline } else { false }
        }
    }

    private static func isFarAhead(_ slot: TimeSlot, _ now: Instant) -> Bool {
        slot.number > now.slot.number &+ slotsAhead
    }

    /// A lockout in the uptime of this boot.
    ///
    /// - Parameters:
    ///   - lockout: As it was written.
    ///   - written: When the file was begun, in the uptime of another boot: then what was left counts from now.
    ///   - uptime: Now.
    /// - Returns: The lockout, over perhaps, and not longer than settings allow.
    private static func lockout(_ lockout: Lockout, _ written: UInt64?, at uptime: UInt64) -> Lockout {
        let begin = written.map { max($0, lockout.since) } ?? uptime
        let left = min(lockout.until - min(begin, lockout.until), longestLockout)
        return Lockout(since: min(lockout.since, uptime), until: uptime &+ left, reason: lockout.reason)
    }
}
