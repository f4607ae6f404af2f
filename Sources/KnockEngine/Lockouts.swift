// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
public import Wire

/// A lockout of a guest at one address, or of an address.
public struct Lockout: Equatable, Sendable {
    /// Whom a lockout keeps out.
    public struct Subject: Hashable, Sendable {
        /// From where.
        public let address: IPAddress
        /// Whose key; nil for everybody's.
        public let key: KeyID?

        /// Takes both.
        public init(_ address: IPAddress, _ key: KeyID?) {
            self.address = address
            self.key = key
        }

        /// Those of one address are found together.
        public func hash(into hasher: inout Hasher) { hasher.combine(address) }
    }

    /// When it began, in milliseconds of uptime.
    public let since: UInt64
    /// When it ends.
    public let until: UInt64
    /// What was done.
    public let reason: Reason

    /// Takes all of it.
    public init(since: UInt64, until: UInt64, reason: Reason) {
        self.since = since
        self.until = until
        self.reason = reason
    }
}

/// Whom a wrong third ACK locks out (docs/PROTOCOL.md §6.3).
public enum LockoutScope: String, CaseIterable, Sendable {
    /// The guest whose handshake it was, at the address that it came from.
    case guest
    /// Everybody at that address.
    case address
}

/// Who is locked out; shared by all engines of a server.
final class Lockouts: Sendable {
    /// What lockouts mean for one guest at one address.
    struct Standing {
        /// When the latest began, one that is over perhaps: what was begun until then has ended.
        var since: UInt64?
        /// Whether one is not over.
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
    /// How long one is remembered after its end, in milliseconds.
    private let memory: UInt64
    /// Lets every packet see without the lock that nobody is locked out.
    private let isEmpty = Atomic(true)
    private let changes: ChangeLog

    /// Reserves the room.
    ///
    /// - Parameters:
    ///   - capacity: How many lockouts; when they are more, the oldest of the guest with the most gives way.
    ///   - duration: How long a lockout lasts, in milliseconds.
    ///   - memory: How long one is remembered after its end, in milliseconds: as long as a handshake can be.
    ///   - changes: Where all changes are noted.
    init(capacity: Int, duration: UInt64, memory: UInt64, changes: ChangeLog = ChangeLog()) {
        self.changes = changes
        state = Mutex(
            State(table: GuestTable(capacity: capacity, lifetime: duration + memory), duration: duration))
        self.memory = memory
    }

    /// Changes how long later lockouts last, in milliseconds.
    func setDuration(_ duration: UInt64) {
        state.withLock { state in
            state.duration = duration
            state.table.lifetime = duration + memory
        }
    }

    /// Takes over how many guests there are to share the room.
    func adopt(guestCount: Int) { state.withLock { $0.table.reserve(guests: guestCount) } }

    /// Locks somebody out.
    func lock(_ subject: Lockout.Subject, _ reason: Reason, at uptime: UInt64) {
        state.withLock { state in
            let lockout = Lockout(since: uptime, until: uptime &+ state.duration, reason: reason)
            state.table.insert(subject, lockout, of: subject.key, at: uptime)
            changes.note(.lockout(subject, lockout))
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// Ends all lockouts of an address now; what ended with their beginning stays ended.
    ///
    /// - Returns: Whether there was one.
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

    /// Takes up a lockout of before, in the order of their ends.
    func restore(_ subject: Lockout.Subject, _ lockout: Lockout, at uptime: UInt64) {
        state.withLock { state in
            // It may be longer than those of now.
            let lifetime = state.table.lifetime
            state.table.lifetime = max(lifetime, lockout.until &- min(uptime, lockout.until) &+ memory)
            state.table.restore(subject, lockout, of: subject.key, deadline: lockout.until &+ memory, at: uptime)
            state.table.lifetime = lifetime
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// The lockouts in some of the places of the table that are not over, and whether there are places beyond.
    func entries(in places: Range<Int>, at uptime: UInt64) -> (found: [SharedState.Entry], isAll: Bool) {
        state.withLock { state in
            var found: [SharedState.Entry] = []
            let isMore = state.table.forEach(in: places, at: uptime) { subject, lockout in
                if uptime < lockout.until { found.append(.lockout(subject, lockout)) }
            }
            return (found, !isMore)
        }
    }

    /// What lockouts mean for an address, and for a guest there.
    ///
    /// - Parameters:
    ///   - address: From where.
    ///   - key: Whose key; nil where that is not known (yet), for lockouts of the address alone.
    ///   - uptime: Now.
    /// - Returns: What is known; nothing where nobody has been locked out yet.
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

    /// All lockouts that are not over.
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
