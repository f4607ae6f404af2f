// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import KnockEngine
internal import Synchronization
package import Wire

/// The open connections, by their addresses and ports, with the guest and the time of admission.
///
/// It is used for status reports, and to close connections when their guest is removed. Events fill it and connection
/// tracking empties it, under a single lock that no packet waits for.
package final class ConnectionBook: Sendable {
    /// The largest number of connections that are recorded.
    ///
    /// Further ones are open, too, but not in the book.
    private static let capacity = 65_536

    /// The largest number of replaced connections that are kept until their end is reported.
    ///
    /// Further ones are not reported.
    private static let replacedCapacity = 1024

    private struct State {
        var connections: [Flow: OpenConnection] = [:]
        /// Ended connections whose addresses and ports a later one has taken over before their end was reported; oldest
        /// first.
        var replaced: [(flow: Flow, connection: OpenConnection, at: Instant)] = []
        var unrecorded: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Adds a connection.
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

    /// Adds a connection that was opened before the daemon started, with an unknown guest, unless it is in the book.
    func adopt(_ flow: Flow, at now: Instant) {
        guard state.withLock({ $0.connections[flow] == nil }) else { return }
        add(flow, nil, at: now)
    }

    /// Removes a connection that has ended: the oldest with these addresses and ports, since the kernel reports ends in
    /// order.
    ///
    /// - Returns: The connection; nil if it was not in the book.
    package func remove(_ flow: Flow) -> OpenConnection? {
        state.withLock { state in
            guard let oldest = state.replaced.firstIndex(where: { $0.flow == flow }) else {
                return state.connections.removeValue(forKey: flow)
            }
            return state.replaced.remove(at: oldest).connection
        }
    }

    /// Removes a connection that has ended, unless a later one has taken over its addresses and ports by now.
    ///
    /// - Returns: The connection; nil if it was not in the book.
    package func remove(_ flow: Flow, since: Instant) -> OpenConnection? {
        state.withLock { state in
            state.connections[flow]?.since == since ? state.connections.removeValue(forKey: flow) : nil
        }
    }

    /// Removes the connections that were replaced before a time, given in milliseconds of uptime.
    ///
    /// The kernel's report of their end was lost, or came before they were added to the book.
    package func removeReplaced(before uptime: UInt64) -> [(flow: Flow, connection: OpenConnection)] {
        state.withLock { state in
            let old = state.replaced.filter { $0.at.uptime < uptime }
            state.replaced.removeAll { $0.at.uptime < uptime }
            return old.map { ($0.flow, $0.connection) }
        }
    }

    /// Records the reason why this side ends a connection.
    package func end(_ flow: Flow, because reason: String) {
        state.withLock { $0.connections[flow]?.ending = reason }
    }

    /// Adds the bytes of a connection that were counted by a deleted connection tracking entry.
    func carry(_ flow: Flow, _ bytes: ByteCount) {
        state.withLock { state in
            guard let carried = state.connections[flow]?.carried else {
                state.connections[flow]?.carried = bytes
                return
            }
            state.connections[flow]?.carried = carried + bytes
        }
    }

    /// Returns the connection with these addresses and ports; nil if there is none, or if the end of an earlier one has
    /// yet to be reported.
    func current(_ flow: Flow) -> OpenConnection? {
        state.withLock { state in
            state.replaced.contains { $0.flow == flow } ? nil : state.connections[flow]
        }
    }

    /// Records the reason why this side ends all connections of a guest.
    ///
    /// - Parameters:
    ///   - key: The guest's key ID; nil for connections whose guest is unknown.
    ///   - address: The client's address; nil for all addresses.
    ///   - reason: The reason.
    /// - Returns: The connections.
    package func end(of key: KeyID?, from address: IPAddress?, because reason: String) -> [Flow] {
        state.withLock { state in
            let flows = state.connections.filter { flow, connection in
                connection.key == key && (address == nil || flow.clientAddress == address)
            }.keys
            for flow in flows { state.connections[flow]?.ending = reason }
            return Array(flows)
        }
    }

    /// Returns whether there is a connection with these addresses and ports.
    package func contains(_ flow: Flow) -> Bool { state.withLock { $0.connections[flow] != nil } }

    /// All connections.
    package var all: [Flow: OpenConnection] { state.withLock { $0.connections } }

    /// The number of connections that were not recorded because the book was full.
    package var unrecorded: UInt64 { state.withLock { $0.unrecorded } }
}
