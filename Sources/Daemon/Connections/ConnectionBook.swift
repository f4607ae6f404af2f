// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
internal import Synchronization

/// A connection that was admitted, on the client: one whose server has proven itself.
package struct OpenConnection: Equatable, Sendable {
    /// Whose key it was opened with; nil if it is older than this daemon.
    package let key: KeyID?
    /// When it was admitted; when this daemon began, if it is older.
    package let since: Instant
    /// Why this side ends it; nil while it does not.
    package var ending: String?
}

/// Who is connected, since when: what a status tells, and what is closed when a guest is one no longer.
///
/// It is filled by events and emptied by connection tracking, all of it behind one lock that no packet waits for.
package final class ConnectionBook: Sendable {
    /// More connections are not kept; they are open all the same.
    private static let capacity = 65_536

    private struct State {
        var connections: [Flow: OpenConnection] = [:]
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
            state.connections[flow] = OpenConnection(key: key, since: now)
        }
    }

    /// Writes down a connection of before, whose it is not being known, if it is not in the book.
    func adopt(_ flow: Flow, at now: Instant) {
        guard state.withLock({ $0.connections[flow] == nil }) else { return }
        add(flow, nil, at: now)
    }

    /// Takes a connection out that has ended.
    ///
    /// - Returns: nil if it was not in it.
    package func remove(_ flow: Flow) -> OpenConnection? {
        state.withLock { $0.connections.removeValue(forKey: flow) }
    }

    /// Notes why this side ends a connection.
    package func end(_ flow: Flow, because reason: String) {
        state.withLock { $0.connections[flow]?.ending = reason }
    }

    /// All connections.
    package var all: [Flow: OpenConnection] { state.withLock { $0.connections } }

    /// How many connections found no room.
    package var unrecorded: UInt64 { state.withLock { $0.unrecorded } }
}
