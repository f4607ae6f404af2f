// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import KnockEngine
internal import KnockProtocol
internal import Wire

/// The state left by an earlier daemon, translated into this daemon's key IDs and the uptime of this boot.
///
/// If it is unknown how much time has passed, entries are kept longer rather than shorter, but never longer than they
/// could have been kept originally. The wall clock does not decide how long, because after
/// a start it may be wrong by years.
struct KeptState {
    /// Receives entries for the engines: the used codes first; the slots of all of them and the lockouts at the end.
    typealias Sink = ([SharedState.Entry]) -> Void

    /// The connections that were open; empty if the host has rebooted.
    private(set) var connections: [Flow: OpenConnection] = [:]
    /// The number of lockouts that are still in force.
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

    /// The time for which a used code is remembered if time is in use, in milliseconds (docs/PROTOCOL.md §4).
    private static let codeLifetime = UInt64(3 * TimeSlot.seconds) * 1000
    /// The longest lockout that the settings allow, in milliseconds.
    private static let longestLockout: UInt64 = 86_400_000
    /// The number of slots in a day.
    ///
    /// A slot further in the future than this was not written by a correct clock.
    private static let slotsAhead: UInt64 = 24 * 60
    /// The number of used codes handed over at a time.
    ///
    /// Used only if their order does not matter.
    private static let portion = 8192

    /// Creates the state of an empty file.
    ///
    /// - Parameters:
    ///   - boot: The ID of this boot.
    ///   - registry: Assigns key IDs to the guests in the records.
    ///   - now: The current time.
    ///   - usesTime: Whether used codes expire.
    ///   - sink: Receives entries for the engines.
    init(boot: [UInt8], _ registry: KeyRegistry, at now: Instant, usesTime: Bool, _ sink: @escaping Sink) {
        (self.boot, self.registry, self.now, self.usesTime, self.sink) = (boot, registry, now, usesTime, sink)
    }

    /// Processes a record.
    ///
    /// Records must be passed in file order.
    mutating func take(_ record: StateRecord, _ head: StateFormat.Head) {
        // Uptime only increases. If it has decreased, the boot is a different one, whatever its ID.
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

    /// Hands over the remaining entries.
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
        // The deadline is limited to a full lifetime from now, and set to that if it is unknown how much time has
        // passed. Without time, codes do not expire, and the deadline only determines which code is the oldest.
        let latest = usesTime ? now.uptime &+ Self.codeLifetime : UInt64.max
        let deadline = isSameBoot ? min(code.deadline, latest) : latest
        guard deadline > now.uptime || !usesTime else { return }
        codes.append(.usedCode(UsedCode(handshake: code.handshake, key: key), deadline: deadline))
        guard usesTime, codes.count >= Self.portion else { return }
        sink(codes)
        codes.removeAll(keepingCapacity: true)
    }

    private mutating func take(_ span: SlotSpan, _ head: StateFormat.Head) {
        // After a reboot, used codes are kept for their full lifetime from now on, unless they had already expired when
        // the file was begun.
        let latest = now.uptime &+ Self.codeLifetime
        let retires = isSameBoot ? min(span.retires, latest) : span.retires > head.uptime ? latest : 0
        spans.append(SlotSpan(span.first, span.last, retires: retires))
    }

    /// Translates a lockout into the uptime of this boot.
    ///
    /// - Parameters:
    ///   - lockout: The lockout as it was written.
    ///   - written: The uptime at which the file was begun, if that was another boot. The remaining time then starts
    ///     now.
    ///   - uptime: The current uptime.
    /// - Returns: The lockout, which may be over, and is not longer than the settings allow.
    private static func lockout(_ lockout: Lockout, _ written: UInt64?, at uptime: UInt64) -> Lockout {
        let begin = written.map { max($0, lockout.since) } ?? uptime
        let left = min(lockout.until - min(begin, lockout.until), longestLockout)
        return Lockout(since: min(lockout.since, uptime), until: uptime &+ left, reason: lockout.reason)
    }
}
