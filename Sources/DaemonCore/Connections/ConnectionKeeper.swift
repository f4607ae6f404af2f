// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import Dispatch
internal import Glibc
package import KnockEngine
internal import Linux
package import Logging
internal import Netfilter
package import Wire

/// Maintains the book of open connections: follows connection tracking to notice their ends, and closes them on
/// request.
package final class ConnectionKeeper: Sendable {
    /// The interval at which the book is compared with the kernel's table, in milliseconds.
    ///
    /// The kernel reports the end of a connection only when it deletes the entry, two minutes after the last FIN. A
    /// connection that still has a socket is not over, whatever its state in connection tracking.
    private static let comparisonInterval: Int32 = 5000

    /// The same, in milliseconds, if there is a reason not to wait that long.
    private static let shortestInterval: Int32 = 1000

    /// The lifetime of a restored connection tracking entry if no segment arrives, in seconds.
    ///
    /// After that, it is restored again.
    private static let secondsGivenBack: UInt32 = 3600

    /// The open connections.
    package let book = ConnectionBook()
    private let filter: ConntrackTable.Filter
    private let markBits: UInt32
    /// Whether the sockets of connections are checked.
    ///
    /// This is the case for the server, whose connections are marked.
    private var looksAtSockets: Bool { markBits != 0 }
    private let logger: Logger
    private let thread = DispatchQueue(label: "connections")

    /// Creates a keeper with an empty book.
    ///
    /// - Parameters:
    ///   - markBits: The bits set in the connection marks of all its connections; 0 for none.
    ///   - logger: The log for errors.
    package init(markBits: UInt32, logger: Logger) {
        filter = ConntrackTable.Filter(ports: nil, markBits: markBits)
        self.markBits = markBits
        self.logger = logger
    }

    /// Starts following connection tracking, on a thread of its own.
    ///
    /// Logs a warning if that is not possible.
    ///
    /// - Parameter ended: Called for each connection of the book that has ended.
    package func start(ended: @escaping @Sendable (EndedConnection) -> Void) {
        let events: ConntrackEvents
        do throws(SystemError) {
            events = try ConntrackEvents()
        } catch {
            logger.warning("the ends of connections are not noticed: \(error)")
            return
        }
        thread.async { [self] in
            do throws(SystemError) {
                while true { try follow(events, ended) }
            } catch {
                logger.error("the ends of connections are no longer noticed: \(error)")
            }
        }
    }

    private func follow(_ events: ConntrackEvents, _ ended: (EndedConnection) -> Void) throws(SystemError) {
        var descriptor = pollfd(fd: events.descriptor, events: Int16(POLLIN), revents: 0)
        let begin = SystemClock.now().uptime
        var deadline = begin &+ UInt64(Self.comparisonInterval)
        while true {
            let now = SystemClock.now().uptime
            guard now < deadline else { break }
            unsafe poll(&descriptor, 1, Int32(truncatingIfNeeded: deadline - now))
            let batch = try events.receive { tracked in
                if restoreIfOpen(tracked) { return }
                if let connection = book.remove(tracked.flow) {
                    ended(Self.end(tracked, connection))
                } else if looksAtSockets, tracked.mark & markBits == markBits, hasSocket(tracked.flow) {
                    // It was verified just now, and is not in the book yet.
                    deadline = min(deadline, begin &+ UInt64(Self.shortestInterval))
                }
            }
            if batch.overflowed { break }
        }
        let past = SystemClock.now().uptime &- 1000
        for (flow, connection) in book.removeReplaced(before: past) { ended(Self.end(flow, connection)) }
        try compare(ended)
    }

    /// Removes from the book the connections that the kernel no longer has, or has as ended.
    private func compare(_ ended: (EndedConnection) -> Void) throws(SystemError) {
        // The book is read first: connections added to it meanwhile are in the table, too.
        var missing = book.all
        guard !missing.isEmpty else { return }
        var over: [(tracked: TrackedConnection, known: OpenConnection)] = []
        try ConntrackTable.forEach(filter) { tracked in
            guard let known = missing.removeValue(forKey: tracked.flow), tracked.state?.isOver == true else { return }
            over.append((tracked, known))
        }
        var localAddresses = LocalAddresses()
        for (tracked, known) in over {
            let flow = tracked.flow
            guard !hasSocket(flow) else { continue }
            // Nothing is known of another host's socket, and a RST does not prove that it was closed. If it was, the
            // kernel deletes the entry soon.
            if looksAtSockets, tracked.state == .close, !localAddresses.contains(flow.serverAddress) { continue }
            guard let connection = book.remove(flow, since: known.since) else { continue }
            ended(Self.end(tracked, connection))
        }
        for (flow, known) in missing {
            if known.ending == nil, restore(flow, mark: markBits) { continue }
            guard let connection = book.remove(flow, since: known.since) else { continue }
            ended(Self.end(flow, connection))
        }
    }

    /// Restores an entry that connection tracking has just deleted, if a socket of this host still uses the connection.
    ///
    /// - Returns: Whether the entry was restored.
    private func restoreIfOpen(_ tracked: TrackedConnection) -> Bool {
        let flow = tracked.flow
        guard looksAtSockets, let known = book.current(flow), known.ending == nil,
            tracked.replyFlow.map({ $0 == flow }) ?? true,
            restore(flow, mark: tracked.mark | markBits)
        else { return false }
        if let bytes = ByteCount(tracked) { book.carry(flow, bytes) }
        return true
    }

    private func restore(_ flow: Flow, mark: UInt32) -> Bool {
        guard looksAtSockets, hasSocket(flow) else { return false }
        do throws(SystemError) {
            try ConntrackTable.restore(
                flow, mark: mark, markBits: markBits, seconds: Self.secondsGivenBack)
            // The connection may have been closed meanwhile, by the socket's owner or by another thread of this daemon.
            guard book.current(flow)?.ending == nil, hasSocket(flow) else {
                _ = try ConntrackTable.remove(flow)
                return false
            }
        } catch {
            logger.warning(
                "connection no longer tracked, and not given back: \(error)", metadata: ["client": "\(flow.client)"])
            return false
        }
        logger.debug("connection given back to connection tracking", metadata: ["client": "\(flow.client)"])
        return true
    }

    /// Returns whether this host has a socket for a connection; false if that cannot be determined.
    private func hasSocket(_ flow: Flow) -> Bool {
        guard looksAtSockets else { return false }
        do throws(SystemError) {
            return try SocketLookup().isConnected(flow)
        } catch {
            logger.error("socket not looked for: \(error)", metadata: ["client": "\(flow.client)"])
            return false
        }
    }

    /// Deletes the connection tracking entry of a connection without a socket on this host, so that a new connection
    /// with the same addresses and ports starts unverified.
    package func forget(_ flow: Flow) {
        guard !hasSocket(flow) else { return }
        do throws(SystemError) {
            _ = try ConntrackTable.remove(flow)
        } catch {
            logger.error("tracked connection not removed: \(error)", metadata: ["client": "\(flow.client)"])
        }
    }

    /// Returns the end of a connection whose entry is unknown.
    private static func end(_ flow: Flow, _ connection: OpenConnection) -> EndedConnection {
        EndedConnection(flow: flow, connection: connection, seconds: age(connection), bytes: connection.carried)
    }

    private static func end(_ tracked: TrackedConnection, _ connection: OpenConnection) -> EndedConnection {
        EndedConnection(
            flow: tracked.flow, connection: connection, seconds: age(connection), bytes: bytes(tracked, connection))
    }

    /// Returns the bytes of a connection, including those counted by an earlier entry.
    private static func bytes(_ tracked: TrackedConnection, _ connection: OpenConnection) -> ByteCount? {
        guard let carried = connection.carried else { return ByteCount(tracked) }
        return ByteCount(tracked).map { carried + $0 } ?? carried
    }

    private static func age(_ connection: OpenConnection) -> UInt64 {
        connection.since.seconds(until: SystemClock.now())
    }

    /// Adds to the book the connections that were admitted before this daemon started.
    ///
    /// Their guests are unknown.
    ///
    /// - Parameter ports: The protected ports.
    package func adopt(ports: [UInt16]) {
        let now = SystemClock.now()
        do throws(SystemError) {
            try ConntrackTable.forEach(filter) { tracked in
                let flow = tracked.flow
                guard ports.contains(flow.serverPort), tracked.state?.isOver != true || hasSocket(flow)
                else { return }
                book.adopt(flow, at: now)
            }
        } catch {
            logger.warning("connections of before are not known: \(error)")
        }
    }

    /// Returns the byte counts of the open connections.
    ///
    /// Connections without counters are left out.
    private func byteCounts() -> [Flow: ByteCount] {
        var counts: [Flow: ByteCount] = [:]
        let known = book.all
        guard !known.isEmpty else { return counts }
        try? ConntrackTable.forEach(filter) { tracked in
            let flow = tracked.flow
            if let connection = known[flow] { counts[flow] = Self.bytes(tracked, connection) }
        }
        return counts
    }

    /// Returns the open connections for a status report, the oldest first.
    package func rows(_ registry: KeyRegistry) -> [StatusReport.Connection] {
        let bytes = byteCounts()
        return book.all.sorted { $0.value.since.uptime < $1.value.since.uptime }.map { flow, connection in
            StatusReport.Connection(
                party: connection.key.flatMap { registry.name(of: $0) }, flow: flow, connection: connection,
                bytes: bytes[flow])
        }
    }

    /// Closes the connections of a guest.
    ///
    /// - Parameters:
    ///   - key: The guest's key ID; nil for connections whose guest is unknown.
    ///   - address: The client's address; nil for all addresses.
    ///   - reason: The reason, for the log.
    /// - Returns: The number of connections.
    package func closeAll(of key: KeyID?, from address: IPAddress?, because reason: String) -> Int {
        let flows = book.end(of: key, from: address, because: reason)
        close(flows, because: reason)
        return flows.count
    }

    /// Closes connections: first their sockets, so that the peer's RST still finds the tracked connection, then the
    /// connection tracking entries.
    ///
    /// - Parameters:
    ///   - flows: The connections.
    ///   - reason: The reason, for the log.
    package func close(_ flows: [Flow], because reason: String) {
        for flow in flows {
            book.end(flow, because: reason)
            do throws(SystemError) {
                _ = try SocketDestroyer.destroyConnection(flow)
            } catch {
                logger.error(
                    "socket not closed: \(SocketDestroyer.explanation(of: error))",
                    metadata: ["client": "\(flow.client)"])
            }
            do throws(SystemError) {
                _ = try ConntrackTable.remove(flow)
            } catch {
                logger.error("tracked connection not removed: \(error)", metadata: ["client": "\(flow.client)"])
            }
        }
    }
}

extension ByteCount {
    /// Returns the byte count of a connection; nil if its bytes were not counted.
    fileprivate init?(_ tracked: TrackedConnection) {
        guard let received = tracked.originalBytes, let sent = tracked.replyBytes else { return nil }
        self.init(received: received, sent: sent)
    }
}
