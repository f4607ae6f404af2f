// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
internal import Wire

/// The lockouts of a server; shared by all its engines.
final class Lockouts: Sendable {
    /// The effect of all lockouts on one guest at one address.
    struct Standing {
        /// When the latest lockout began, even if it is over: handshakes begun before it have ended.
        var since: UInt64?
        /// Whether a lockout is in force.
        var isLockedOut = false

        fileprivate mutating func add(_ lockout: Lockout, at uptime: UInt64) {
            since = max(since ?? 0, lockout.since)
            if uptime < lockout.until { isLockedOut = true }
        }
    }

    private struct State: ~Copyable {
        var table: GuestTable<Lockout.Subject, Lockout>
        var duration: UInt64
    }

    private let state: Mutex<State>
    /// How long a lockout is remembered after its end, in milliseconds.
    private let memory: UInt64
    /// Lets packets find out without taking the lock that there are no lockouts.
    private let isEmpty = Atomic(true)
    private let changes: ChangeLog

    /// Creates an empty table and reserves its memory.
    ///
    /// - Parameters:
    ///   - capacity: The maximum number of lockouts; beyond it, the guest with the most loses its oldest.
    ///   - duration: The duration of a lockout, in milliseconds.
    ///   - memory: How long a lockout is remembered after its end, in milliseconds: the maximum age of a handshake.
    ///   - changes: Where all changes are noted.
    init(capacity: Int, duration: UInt64, memory: UInt64, changes: ChangeLog = ChangeLog()) {
        self.changes = changes
        state = Mutex(
            State(table: GuestTable(capacity: capacity, lifetime: duration + memory), duration: duration))
        self.memory = memory
    }

    /// Changes the duration of future lockouts, in milliseconds.
    func setDuration(_ duration: UInt64) {
        state.withLock { state in
            state.duration = duration
            state.table.lifetime = duration + memory
        }
    }

    /// Sets the number of guests that share the table.
    func adopt(guestCount: Int) { state.withLock { $0.table.reserve(guests: guestCount) } }

    /// Begins a lockout.
    func lock(_ subject: Lockout.Subject, _ reason: Reason, at uptime: UInt64) {
        state.withLock { state in
            let lockout = Lockout(since: uptime, until: uptime &+ state.duration, reason: reason)
            state.table.insert(subject, lockout, of: subject.key, at: uptime)
            changes.note(.lockout(subject, lockout))
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// Ends all lockouts of an address now; handshakes that they ended are not restored.
    ///
    /// - Returns: Whether there were any.
    func unlock(_ address: IPAddress, at uptime: UInt64) -> Bool {
        state.withLock { state in
            var ending: [(subject: Lockout.Subject, position: Int)] = []
            state.table.forEachNeighbour(of: Lockout.Subject(address, nil), at: uptime) { subject, position in
                if subject.address == address { ending.append((subject, position)) }
            }
            ending.removeAll { state.table[$0.position].until <= uptime }
            for (subject, position) in ending {
                let lockout = state.table[position]
                let ended = Lockout(since: lockout.since, until: uptime, reason: lockout.reason)
                state.table[position] = ended
                changes.note(.lockout(subject, ended))
            }
            return !ending.isEmpty
        }
    }

    /// Restores a lockout of an earlier process; to be called in the order of their ends.
    func restore(_ subject: Lockout.Subject, _ lockout: Lockout, at uptime: UInt64) {
        state.withLock { state in
            // It may last longer than new ones do.
            let lifetime = state.table.lifetime
            state.table.lifetime = max(lifetime, lockout.until &- min(uptime, lockout.until) &+ memory)
            state.table.restore(subject, lockout, of: subject.key, deadline: lockout.until &+ memory, at: uptime)
            state.table.lifetime = lifetime
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// Returns the lockouts in force in a range of places, and whether these were the last places.
    func entries(in places: Range<Int>, at uptime: UInt64) -> (found: [SharedState.Entry], isAll: Bool) {
        state.withLock { state in
            var found: [SharedState.Entry] = []
            let isMore = state.table.forEach(in: places, at: uptime) { subject, lockout in
                if uptime < lockout.until { found.append(.lockout(subject, lockout)) }
            }
            return (found, !isMore)
        }
    }

    /// Returns the effect of all lockouts on an address, and on a guest at that address.
    ///
    /// - Parameters:
    ///   - address: The source address.
    ///   - key: The guest's key; nil if not known (yet), to consider only lockouts of the whole address.
    ///   - uptime: The current time.
    /// - Returns: The combined effect; without any lockouts, a `Standing` of the default values.
    @inline(__always)
    func standing(of address: IPAddress, _ key: KeyID?, at uptime: UInt64) -> Standing {
        if isEmpty.load(ordering: .acquiring) { return Standing() }
        return lookUp(address, key, at: uptime)
    }

    private func lookUp(_ address: IPAddress, _ key: KeyID?, at uptime: UInt64) -> Standing {
        state.withLock { state in
            var standing = Standing()
            if let position = state.table.position(of: Lockout.Subject(address, nil), at: uptime) {
                standing.add(state.table[position], at: uptime)
            }
            if let key, let position = state.table.position(of: Lockout.Subject(address, key), at: uptime) {
                standing.add(state.table[position], at: uptime)
            }
            return standing
        }
    }

    /// Returns all lockouts in force.
    func all(at uptime: UInt64) -> [(subject: Lockout.Subject, lockout: Lockout)] {
        state.withLock { state in
            var found: [(subject: Lockout.Subject, lockout: Lockout)] = []
            state.table.forEach(at: uptime) { subject, lockout in
                if uptime < lockout.until { found.append((subject, lockout)) }
            }
            return found
        }
    }
}
