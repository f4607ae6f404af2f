// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import KnockEngine
internal import Synchronization
package import Wire

/// Who is connected, since when: what a status tells, and what is closed when a guest is one no longer.
///
/// It is filled by events and emptied by connection tracking, all of it behind one lock that no packet waits for.
package final class ConnectionBook: Sendable {
    /// More connections are not kept; they are open all the same.
    private static let capacity = 65_536

    /// So many whose end was not told yet; of more, nothing is said.
    private static let replacedCapacity = 1024

    private struct State {
        var connections: [Flow: OpenConnection] = [:]
        /// Ended ones whose ends and ports a later one has already, and whose end was not told yet; oldest first.
        var replaced: [(flow: Flow, connection: OpenConnection, at: Instant)] = []
        var unrecorded: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Begins empty.
    package init() {}

    /// Writes down a connection.
    package func add(_ flow: Flow, _ key: KeyID?, at now: Instant) {
        state.withLock { state in
            guard state.connections.count < Self.capacity || state.connections[flow] != nil else {
                state.unrecorded &+= 1
                return
            }
            let earlier = state.connections.updateValue(OpenConnection(key: key, since: now), forKey: flow)
            if let earlier, state.replaced.count < Self.replacedCapacity { state.replaced.append((flow, earlier, now)) }
        }
    }

    /// Writes down a connection of before, whose it is not being known, if it is not in the book.
    func adopt(_ flow: Flow, at now: Instant) {
        guard state.withLock({ $0.connections[flow] == nil }) else { return }
        add(flow, nil, at: now)
    }

    /// Takes a connection out that has ended: the oldest with these ends, since the kernel tells of them in turn.
    ///
    /// - Returns: nil if it was not in it.
    package func remove(_ flow: Flow) -> OpenConnection? {
        state.withLock { state in
            guard let oldest = state.replaced.firstIndex(where: { $0.flow == flow }) else {
                return state.connections.removeValue(forKey: flow)
            }
            return state.replaced.remove(at: oldest).connection
        }
    }

    /// Takes a connection out that has ended, unless a later one, admitted at another time, has its ends by now.
    ///
    /// - Returns: nil if it was not in it.
    package func remove(_ flow: Flow, since: Instant) -> OpenConnection? {
        state.withLock { state in
            state.connections[flow]?.since == since ? state.connections.removeValue(forKey: flow) : nil
        }
    }

    /// Takes out those whose ends a later one has had since before a time, in milliseconds of uptime: the kernel's
    /// telling was lost, or came before they were written down.
    package func removeReplaced(before uptime: UInt64) -> [(flow: Flow, connection: OpenConnection)] {
        state.withLock { state in
            let old = state.replaced.filter { $0.at.uptime < uptime }
            state.replaced.removeAll { $0.at.uptime < uptime }
            return old.map { ($0.flow, $0.connection) }
        }
    }

    /// Notes why this side ends a connection.
    package func end(_ flow: Flow, because reason: String) {
        state.withLock { $0.connections[flow]?.ending = reason }
    }

    /// Adds what was counted of a connection by an entry that is gone.
    func carry(_ flow: Flow, _ bytes: ByteCount) {
        state.withLock { state in
            guard let carried = state.connections[flow]?.carried else {
                state.connections[flow]?.carried = bytes
                return
            }
            state.connections[flow]?.carried = carried + bytes
        }
    }

    /// The connection with these ends; nil if there is none, or if the end of an earlier one is still to be told.
    func current(_ flow: Flow) -> OpenConnection? {
        state.withLock { state in
            state.replaced.contains { $0.flow == flow } ? nil : state.connections[flow]
        }
    }

    /// Notes why this side ends all connections of a guest.
    ///
    /// - Parameters:
    ///   - key: Whose; nil for those of whom that is not known.
    ///   - address: From where; nil for everywhere.
    ///   - reason: Why.
    /// - Returns: Which they are.
    package func end(of key: KeyID?, from address: IPAddress?, because reason: String) -> [Flow] {
        state.withLock { state in
            let flows = state.connections.filter { flow, connection in
                connection.key == key && (address == nil || flow.clientAddress == address)
            }.keys
            for flow in flows { state.connections[flow]?.ending = reason }
            return Array(flows)
        }
    }

    /// Whether there is a connection with these ends.
    package func contains(_ flow: Flow) -> Bool { state.withLock { $0.connections[flow] != nil } }

    /// All connections.
    package var all: [Flow: OpenConnection] { state.withLock { $0.connections } }

    /// How many connections found no room.
    package var unrecorded: UInt64 { state.withLock { $0.unrecorded } }
}
