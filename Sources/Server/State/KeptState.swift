// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import KnockEngine
internal import KnockProtocol
internal import Wire

/// What an earlier daemon has left, in terms of this one: its numbers for guests, the uptime of this boot.
///
/// Where it cannot be known how much time has gone by, things are kept longer rather than shorter, but never longer than
/// they could be at first. The wall clock decides nothing: after a start it may be wrong by years.
struct KeptState {
    /// Takes entries for the engines: used codes first, and the slots of all of them at the end, with the lockouts.
    typealias Sink = ([SharedState.Entry]) -> Void

    /// Connections that were open; none of before the host was started anew.
    private(set) var connections: [Flow: OpenConnection] = [:]
    /// How many lockouts are not over.
    private(set) var lockouts = 0

    private let boot: [UInt8]
    private let registry: KeyRegistry
    private let now: Instant
    private let usesTime: Bool
    private let sink: Sink
    private var parties: [UInt32: (name: String, fingerprint: String)] = [:]
    private var codes: [SharedState.Entry] = []
    private var spans: [SlotSpan] = []
    private var locked: [Lockout.Subject: Lockout] = [:]
    private var isSameBoot = true

    /// How long a used code is remembered where time is in use, in milliseconds (docs/PROTOCOL.md §4).
    private static let codeLifetime = UInt64(3 * TimeSlot.seconds) * 1000
    /// The longest lockout that settings allow, in milliseconds.
    private static let longestLockout: UInt64 = 86_400_000
    /// A slot later than now by more than this was never a slot of a right clock: a day.
    private static let slotsAhead: UInt64 = 24 * 60
    /// So many used codes are handed over at a time, where their order is of no meaning.
    private static let portion = 8192

    /// Begins.
    ///
    /// - Parameters:
    ///   - boot: This boot.
    ///   - registry: Gives numbers to the guests of the records.
    ///   - now: The time.
    ///   - usesTime: Whether used codes expire.
    ///   - sink: Takes entries for the engines.
    init(boot: [UInt8], _ registry: KeyRegistry, at now: Instant, usesTime: Bool, _ sink: @escaping Sink) {
        (self.boot, self.registry, self.now, self.usesTime, self.sink) = (boot, registry, now, usesTime, sink)
    }

    /// Takes a record; they must come in their order.
    mutating func take(_ record: StateRecord, _ head: StateFormat.Head) {
        // A clock that only goes forward and has gone back is that of another boot, whatever its name.
        isSameBoot = head.boot == boot && head.uptime <= now.uptime
        switch record {
        case .party(let number, let name, let fingerprint):
            parties[number] = (name, fingerprint)
        case .usedCodes(let some):
            for code in some { take(code) }
        case .usedCode(let code, let slot):
            take(code)
            if slot != .timeless { take(SlotSpan(slot, slot, retires: code.deadline), head) }
        case .slots(let span):
            take(span, head)
        case .retired(let slot):
            if slot.number <= now.slot.number &+ Self.slotsAhead {
                spans.append(SlotSpan(TimeSlot(number: 0), slot, retires: 0))
            }
        case .lockout(let address, let party, let lockout):
            let key = party.flatMap(id)
            guard party == nil || key != nil else { return }
            locked[Lockout.Subject(address, key)] = Self.lockout(
                lockout, isSameBoot ? nil : head.uptime, at: now.uptime)
        case .opened(let flow, let party, let since):
            let since = Instant(unixSeconds: since.unixSeconds, uptime: min(since.uptime, now.uptime))
            connections[flow] = OpenConnection(key: party.flatMap(id), since: since)
        case .ended(let flow):
            connections[flow] = nil
        case .complete:
            break
        }
    }

    /// Hands over what is left.
    mutating func finish() {
        if !isSameBoot { connections = [:] }
        lockouts = locked.values.count { now.uptime < $0.until }
        sink(codes + spans.map { .slots($0) } + locked.map { .lockout($0.key, $0.value) })
        codes = []
    }

    private func id(_ party: UInt32) -> KeyID? {
        parties[party].map { registry.id(of: $0.name, fingerprint: $0.fingerprint) }
    }

    private mutating func take(_ code: StateRecord.Code) {
        guard let key = id(code.party) else { return }
        // The latest that it can be, and for all of it if it is not known how much has gone by. Without time there is no
        // end, and the deadline only says which code is the oldest.
        let latest = usesTime ? now.uptime &+ Self.codeLifetime : UInt64.max
        let deadline = isSameBoot ? min(code.deadline, latest) : latest
        guard deadline > now.uptime || !usesTime else { return }
        codes.append(.usedCode(UsedCode(handshake: code.handshake, key: key), deadline: deadline))
        guard usesTime, codes.count >= Self.portion else { return }
        sink(codes)
        codes.removeAll(keepingCapacity: true)
    }

    private mutating func take(_ span: SlotSpan, _ head: StateFormat.Head) {
        // At another boot used codes are kept for all of their time from now on, unless they were over already when the
        // file was begun.
        let latest = now.uptime &+ Self.codeLifetime
        let retires = isSameBoot ? min(span.retires, latest) : span.retires > head.uptime ? latest : 0
        spans.append(SlotSpan(span.first, span.last, retires: retires))
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
