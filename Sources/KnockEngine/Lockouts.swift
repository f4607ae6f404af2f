// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization
internal import Wire

/// A lockout of one address.
public struct Lockout: Equatable, Sendable {
    /// When it began, in milliseconds of uptime.
    public let since: UInt64
    /// When it ends.
    public let until: UInt64
    /// What the address did.
    public let reason: Reason

    /// Takes all of it.
    public init(since: UInt64, until: UInt64, reason: Reason) {
        self.since = since
        self.until = until
        self.reason = reason
    }
}

/// The addresses that are locked out (docs/PROTOCOL.md §6.3); shared by all engines of a server.
final class Lockouts: Sendable {
    private struct State: ~Copyable {
        var table: ExpiringTable<IPAddress, Lockout>
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
    ///   - capacity: How many addresses; when they are more, the one that would be free next is.
    ///   - duration: How long a lockout lasts, in milliseconds.
    ///   - memory: How long one is remembered after its end, in milliseconds: as long as a handshake can be.
    ///   - changes: Where all changes are noted.
    init(capacity: Int, duration: UInt64, memory: UInt64, changes: ChangeLog = ChangeLog()) {
        self.changes = changes
        state = Mutex(
            State(table: ExpiringTable(capacity: capacity, lifetime: duration + memory), duration: duration))
        self.memory = memory
    }

    /// Changes how long later lockouts last, in milliseconds.
    func setDuration(_ duration: UInt64) {
        state.withLock { state in
            state.duration = duration
            state.table.lifetime = duration + memory
        }
    }

    /// Locks an address out.
    func lock(_ address: IPAddress, _ reason: Reason, at uptime: UInt64) {
        state.withLock { state in
            let lockout = Lockout(since: uptime, until: uptime &+ state.duration, reason: reason)
            state.table.insert(address, lockout, at: uptime)
            changes.note(.lockout(address, lockout))
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// Ends a lockout now; what ended with its beginning stays ended.
    ///
    /// - Returns: Whether there was one.
    func unlock(_ address: IPAddress, at uptime: UInt64) -> Bool {
        state.withLock { state in
            guard let position = state.table.position(of: address, at: uptime) else { return false }
            let lockout = state.table[position]
            guard uptime < lockout.until else { return false }
            let ended = Lockout(since: lockout.since, until: uptime, reason: lockout.reason)
            state.table[position] = ended
            changes.note(.lockout(address, ended))
            return true
        }
    }

    /// Takes up a lockout of before, in the order of their ends.
    func restore(_ address: IPAddress, _ lockout: Lockout, at uptime: UInt64) {
        state.withLock { state in
            // It may be longer than those of now.
            let lifetime = state.table.lifetime
            state.table.lifetime = max(lifetime, lockout.until &- min(uptime, lockout.until) &+ memory)
            state.table.restore(address, lockout, deadline: lockout.until &+ memory, at: uptime)
            state.table.lifetime = lifetime
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// The lockouts in some of the places of the table that are not over, and whether there are places beyond.
    func entries(in places: Range<Int>, at uptime: UInt64) -> (found: [SharedState.Entry], isAll: Bool) {
        state.withLock { state in
            var found: [SharedState.Entry] = []
            let isMore = state.table.forEach(in: places, at: uptime) { address, lockout, _ in
                if uptime < lockout.until { found.append(.lockout(address, lockout)) }
            }
            return (found, !isMore)
        }
    }

    /// The latest lockout of an address, one that is over perhaps; nil if there is none or it is forgotten.
    func find(_ address: IPAddress, at uptime: UInt64) -> Lockout? {
        if isEmpty.load(ordering: .acquiring) { return nil }
        return state.withLock { state in
            state.table.position(of: address, at: uptime).map { state.table[$0] }
        }
    }

    /// All lockouts that are not over.
    func all(at uptime: UInt64) -> [(address: IPAddress, lockout: Lockout)] {
        state.withLock { state in
            var found: [(address: IPAddress, lockout: Lockout)] = []
            state.table.forEach(at: uptime) { address, lockout in
                if uptime < lockout.until { found.append((address, lockout)) }
            }
            return found
        }
    }
}
