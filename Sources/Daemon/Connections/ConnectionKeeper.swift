// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Logging
internal import NetfilterQueue
internal import Wire

/// Keeps the book of open connections: follows connection tracking to see when they end, and ends them where they must.
package final class ConnectionKeeper: Sendable {
    /// How often the book is compared with the table of the kernel, in milliseconds, in case an event was lost.
    private static let comparisonInterval: Int32 = 60_000

    /// Who is connected.
    package let book = ConnectionBook()
    private let logger: Logger
    private let thread = DispatchQueue(label: "connections")

    /// Begins with an empty book.
    package init(logger: Logger) {
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
                while true {
                    let batch = try events.wait(milliseconds: Self.comparisonInterval) { connection in
                        note(connection, ended)
                    }
                    if batch.overflowed || batch.isQuiet { try compare(ended) }
                }
            } catch {
                logger.error("the ends of connections are no longer noticed: \(error)")
            }
        }
    }

    private func note(_ tracked: TrackedConnection, _ ended: (EndedConnection) -> Void) {
        let flow = Flow(tracked)
        guard let connection = book.remove(flow) else { return }
        ended(Self.end(flow, connection, tracked.byteCount))
    }

    /// Takes out of the book what the kernel no longer knows.
    private func compare(_ ended: (EndedConnection) -> Void) throws(SystemError) {
        // First the book: what is added to it meanwhile is in the table, too.
        let known = book.all
        guard !known.isEmpty else { return }
        var missing = Set(known.keys)
        try ConntrackTable.forEach { missing.remove(Flow($0)) }
        for flow in missing {
            guard let connection = book.remove(flow) else { continue }
            ended(Self.end(flow, connection, nil))
        }
    }

    private static func end(_ flow: Flow, _ connection: OpenConnection, _ bytes: ByteCount?) -> EndedConnection {
        let duration = SystemClock.now().uptime &- connection.since.uptime
        return EndedConnection(flow: flow, connection: connection, seconds: duration / 1000, bytes: bytes)
    }

    /// Writes down the connections that were admitted before this daemon began; whose they are is not known.
    ///
    /// - Parameters:
    ///   - mark: The bit of the connection mark that says "verified".
    ///   - ports: The protected ports.
    package func adopt(mark: UInt32, ports: [UInt16]) {
        let now = SystemClock.now()
        do throws(SystemError) {
            try ConntrackTable.forEach { tracked in
                let flow = Flow(tracked)
                if tracked.mark & mark != 0, ports.contains(flow.serverPort) { book.add(flow, nil, at: now) }
            }
        } catch {
            logger.warning("connections of before are not known: \(error)")
        }
    }

    /// How many bytes the open connections have carried; those of whom nothing is counted are missing.
    package func byteCounts() -> [Flow: ByteCount] {
        var counts: [Flow: ByteCount] = [:]
        let known = book.all
        guard !known.isEmpty else { return counts }
        try? ConntrackTable.forEach { tracked in
            let flow = Flow(tracked)
            if known[flow] != nil { counts[flow] = tracked.byteCount }
        }
        return counts
    }

    /// The open connections as a status lists them, the oldest first.
    func rows(_ registry: KeyRegistry) -> [StatusReport.Connection] {
        let bytes = byteCounts()
        return book.all.sorted { $0.value.since.uptime < $1.value.since.uptime }.map { flow, connection in
            StatusReport.Connection(
                party: connection.key.flatMap { registry.name(of: $0) }, flow: flow, connection: connection,
                bytes: bytes[flow])
        }
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
                _ = try SocketDestroyer.destroy(flow)
            } catch {
                logger.error(
                    "socket not closed: \(LockoutEnforcer.text(error))", metadata: ["client": "\(flow.client)"])
            }
            do throws(SystemError) {
                _ = try ConntrackTable.remove(flow)
            } catch {
                logger.error("tracked connection not removed: \(error)", metadata: ["client": "\(flow.client)"])
            }
        }
    }
}
