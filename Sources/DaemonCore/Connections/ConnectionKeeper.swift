// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
internal import Dispatch
internal import Glibc
package import KnockEngine
internal import Linux
package import Logging
internal import Netfilter
package import Wire

/// Keeps the book of open connections: follows connection tracking to see when they end, and ends them where they must.
package final class ConnectionKeeper: Sendable {
    /// How often the book is compared with the table of the kernel, in milliseconds.
    ///
    /// The kernel tells of the end of a connection only when it forgets it, which is two minutes after the last FIN. What
    /// a socket still has is not over, whatever connection tracking takes it for.
    private static let comparisonInterval: Int32 = 5000

    /// The same when there is a reason not to wait that long.
    private static let shortestInterval: Int32 = 1000

    /// How long connection tracking keeps what was given back to it if no segment comes.
    ///
    /// Then it is given back again.
    private static let secondsGivenBack: UInt32 = 3600

    /// Who is connected.
    package let book = ConnectionBook()
    private let filter: ConntrackTable.Filter
    private let markBits: UInt32
    /// Whether the sockets of connections are looked at: the server's, whose connections are marked.
    private var looksAtSockets: Bool { markBits != 0 }
    private let logger: Logger
    private let thread = DispatchQueue(label: "connections")

    /// Begins with an empty book.
    ///
    /// - Parameters:
    ///   - markBits: What the connection marks of all its connections have set; 0 for nothing.
    ///   - logger: Where it says what cannot be done.
    package init(markBits: UInt32, logger: Logger) {
        filter = ConntrackTable.Filter(ports: nil, markBits: markBits)
        self.markBits = markBits
        self.logger = logger
    }

    /// Follows connection tracking from now on, on a thread of its own; says so in the log if that cannot be done.
    ///
    /// - Parameter ended: Is called for each connection of the book that has ended.
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
                if givesBack(tracked) { return }
                if let connection = book.remove(Flow(tracked)) {
                    ended(Self.end(tracked, connection))
                } else if looksAtSockets, tracked.mark & markBits == markBits, hasSocket(Flow(tracked)) {
                    // Verified just now, and not in the book yet.
                    deadline = min(deadline, begin &+ UInt64(Self.shortestInterval))
                }
            }
            if batch.overflowed { break }
        }
        let past = SystemClock.now().uptime &- 1000
        for (flow, connection) in book.removeReplaced(before: past) { ended(Self.end(flow, connection)) }
        try compare(ended)
    }

    /// Takes out of the book what the kernel no longer knows, or knows to be over.
    private func compare(_ ended: (EndedConnection) -> Void) throws(SystemError) {
        // First the book: what is added to it meanwhile is in the table, too.
        var missing = book.all
        guard !missing.isEmpty else { return }
        var over: [(tracked: TrackedConnection, known: OpenConnection)] = []
        try ConntrackTable.forEach(filter) { tracked in
            guard let known = missing.removeValue(forKey: Flow(tracked)), tracked.state?.isOver == true else { return }
            over.append((tracked, known))
        }
        var ownAddresses = OwnAddresses()
        for (tracked, known) in over {
            let flow = Flow(tracked)
            guard !hasSocket(flow) else { continue }
            // Of another host's socket nothing is known, and a RST is no proof of its end: the kernel forgets the
            // connection soon if it was.
            if looksAtSockets, tracked.state == .close, !ownAddresses.contains(flow.serverAddress) { continue }
            guard let connection = book.remove(flow, since: known.since) else { continue }
            ended(Self.end(tracked, connection))
        }
        for (flow, known) in missing {
            if known.ending == nil, giveBack(flow, mark: markBits) { continue }
            guard let connection = book.remove(flow, since: known.since) else { continue }
            ended(Self.end(flow, connection))
        }
    }

    /// Gives connection tracking back what it has just forgotten, if a socket of this host still has it.
    ///
    /// - Returns: Whether it did.
    private func givesBack(_ tracked: TrackedConnection) -> Bool {
        let flow = Flow(tracked)
        guard looksAtSockets, let known = book.current(flow), known.ending == nil,
            tracked.reply.map({ $0 == tracked.original.reversed }) ?? true,
            giveBack(flow, mark: tracked.mark | markBits)
        else { return false }
        if let bytes = ByteCount(tracked) { book.carry(flow, bytes) }
        return true
    }

    private func giveBack(_ flow: Flow, mark: UInt32) -> Bool {
        guard looksAtSockets, hasSocket(flow) else { return false }
        do throws(SystemError) {
            try ConntrackTable.restore(
                flow.tuple, mark: mark, markBits: markBits, seconds: Self.secondsGivenBack)
            // It may have been closed in the meantime, by the socket's owner or on another thread of this daemon.
            guard book.current(flow)?.ending == nil, hasSocket(flow) else {
                _ = try ConntrackTable.remove(flow.tuple)
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

    /// Whether this host has a socket of a connection; where that cannot be found out, none.
    private func hasSocket(_ flow: Flow) -> Bool {
        guard looksAtSockets else { return false }
        do throws(SystemError) {
            return try SocketLookup().isConnected(flow.tuple)
        } catch {
            logger.error("socket not looked for: \(error)", metadata: ["client": "\(flow.client)"])
            return false
        }
    }

    /// Has connection tracking forget a connection that no socket of this host has, so that another one with the same ends
    /// begins anew, unverified.
    package func forget(_ flow: Flow) {
        guard !hasSocket(flow) else { return }
        do throws(SystemError) {
            _ = try ConntrackTable.remove(flow.tuple)
        } catch {
            logger.error("tracked connection not removed: \(error)", metadata: ["client": "\(flow.client)"])
        }
    }

    /// The end of a connection of whose bytes nothing is known.
    private static func end(_ flow: Flow, _ connection: OpenConnection) -> EndedConnection {
        EndedConnection(flow: flow, connection: connection, seconds: age(connection), bytes: connection.carried)
    }

    private static func end(_ tracked: TrackedConnection, _ connection: OpenConnection) -> EndedConnection {
        EndedConnection(
            flow: Flow(tracked), connection: connection, seconds: age(connection), bytes: bytes(tracked, connection))
    }

    /// What was counted of a connection, by an earlier entry, too.
    private static func bytes(_ tracked: TrackedConnection, _ connection: OpenConnection) -> ByteCount? {
        guard let carried = connection.carried else { return ByteCount(tracked) }
        return ByteCount(tracked).map { carried + $0 } ?? carried
    }

    private static func age(_ connection: OpenConnection) -> UInt64 {
        connection.since.seconds(until: SystemClock.now())
    }

    /// Writes down the connections that were admitted before this daemon began, and that are not in the book: whose they
    /// are is not known.
    ///
    /// - Parameter ports: The protected ports.
    package func adopt(ports: [UInt16]) {
        let now = SystemClock.now()
        do throws(SystemError) {
            try ConntrackTable.forEach(filter) { tracked in
                let flow = Flow(tracked)
                guard ports.contains(flow.serverPort), tracked.state?.isOver != true || hasSocket(flow)
                else { return }
                book.adopt(flow, at: now)
            }
        } catch {
            logger.warning("connections of before are not known: \(error)")
        }
    }

    /// How many bytes the open connections have carried; those of whom nothing is counted are missing.
    private func byteCounts() -> [Flow: ByteCount] {
        var counts: [Flow: ByteCount] = [:]
        let known = book.all
        guard !known.isEmpty else { return counts }
        try? ConntrackTable.forEach(filter) { tracked in
            let flow = Flow(tracked)
            if let connection = known[flow] { counts[flow] = Self.bytes(tracked, connection) }
        }
        return counts
    }

    /// The open connections as a status lists them, the oldest first.
    package func rows(_ registry: KeyRegistry) -> [StatusReport.Connection] {
        let bytes = byteCounts()
        return book.all.sorted { $0.value.since.uptime < $1.value.since.uptime }.map { flow, connection in
            StatusReport.Connection(
                party: connection.key.flatMap { registry.name(of: $0) }, flow: flow, connection: connection,
                bytes: bytes[flow])
        }
    }

    /// Ends all connections of a guest.
    ///
    /// - Parameters:
    ///   - key: Whose; nil for those of whom that is not known.
    ///   - address: From where; nil for everywhere.
    ///   - reason: Why, for the audit.
    /// - Returns: How many there were.
    package func closeAll(of key: KeyID?, from address: IPAddress?, because reason: String) -> Int {
        let flows = book.end(of: key, from: address, because: reason)
        close(flows, because: reason)
        return flows.count
    }

    /// Ends connections: their sockets first, so that the peer's RST still finds the tracked connection, then that.
    ///
    /// - Parameters:
    ///   - flows: Which.
    ///   - reason: Why, for the audit.
    package func close(_ flows: [Flow], because reason: String) {
        for flow in flows {
            book.end(flow, because: reason)
            do throws(SystemError) {
                _ = try SocketDestroyer.destroyConnection(
                    localAddress: flow.serverAddress, localPort: flow.serverPort, remoteAddress: flow.clientAddress,
                    remotePort: flow.clientPort)
            } catch {
                logger.error(
                    "socket not closed: \(SocketDestroyer.explanation(of: error))",
                    metadata: ["client": "\(flow.client)"])
            }
            do throws(SystemError) {
                _ = try ConntrackTable.remove(flow.tuple)
            } catch {
                logger.error("tracked connection not removed: \(error)", metadata: ["client": "\(flow.client)"])
            }
        }
    }
}

extension Flow {
    /// The connection whose first packet went this way.
    fileprivate init(_ tracked: TrackedConnection) {
        let original = tracked.original
        self.init(
            clientAddress: original.sourceAddress, clientPort: original.sourcePort,
            serverAddress: original.destinationAddress, serverPort: original.destinationPort)
    }

    /// The way of its first packet.
    fileprivate var tuple: ConnectionTuple {
        ConnectionTuple(from: clientAddress, clientPort, to: serverAddress, serverPort)
    }
}

extension ByteCount {
    /// What was counted of a connection; nil if nothing was.
    fileprivate init?(_ tracked: TrackedConnection) {
        guard let received = tracked.originalBytes, let sent = tracked.replyBytes else { return nil }
        self.init(received: received, sent: sent)
    }
}
