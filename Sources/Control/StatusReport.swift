// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
package import KnockEngine
internal import Linux
package import Netfilter
internal import Program
package import Wire

/// A daemon's status, for display and for scripts.
package struct StatusReport: Sendable {
    /// A guest or target.
    package struct Party: Sendable {
        package let name: String
        /// On the client, the target's ports and addresses; on the server, the guest's ports, networks and expiry.
        package let scope: String

        package init(name: String, scope: String) {
            self.name = name
            self.scope = scope
        }
    }

    /// An open connection.
    package struct Connection: Sendable {
        package let party: String?
        package let flow: Flow
        package let connection: OpenConnection
        package let bytes: ByteCount?

        package init(party: String?, flow: Flow, connection: OpenConnection, bytes: ByteCount?) {
            self.party = party
            self.flow = flow
            self.connection = connection
            self.bytes = bytes
        }
    }

    package let program: String
    package let partyLabel: String
    package let started: Instant
    package let now: Instant
    package let queues: [QueueStatistics]
    package let counters: Counters
    package let handshakes: Int
    package let parties: [Party]
    package let connections: [Connection]
    /// The number of connections that were not recorded because the book was full.
    package let unrecorded: UInt64
    /// The number of addresses that are locked out; nil on the client.
    package let lockedOut: Int?
    /// The number of used codes that are remembered, and the capacity for them; nil on the client.
    package let usedCodes: (taken: Int, capacity: Int)?
    /// The number of SYNs that the kernel filter has dropped and let pass; nil if there is no filter.
    package let kernelFilter: (wrong: UInt64, passed: UInt64)?
    /// The destinations that are protected, and the sources that are exempt; nil on the client.
    package var places: (protected: [String], exempt: [String])?
    /// The state of the firewall rules; nil on the client.
    package let protection: Protection?
    /// The number of times rules disappeared without having been taken down; nil on the client.
    package let rulesLost: UInt64?

    package init(
        program: String, partyLabel: String, started: Instant, now: Instant, queues: [QueueStatistics],
        counters: Counters,
        handshakes: Int, parties: [Party], connections: [Connection], unrecorded: UInt64, lockedOut: Int?,
        usedCodes: (taken: Int, capacity: Int)?, kernelFilter: (wrong: UInt64, passed: UInt64)?,
        places: (protected: [String], exempt: [String])? = nil, protection: Protection?, rulesLost: UInt64?
    ) {
        self.program = program
        self.partyLabel = partyLabel
        self.started = started
        self.now = now
        self.queues = queues
        self.counters = counters
        self.handshakes = handshakes
        self.parties = parties
        self.connections = connections
        self.unrecorded = unrecorded
        self.lockedOut = lockedOut
        self.usedCodes = usedCodes
        self.kernelFilter = kernelFilter
        self.places = places
        self.protection = protection
        self.rulesLost = rulesLost
    }

    /// The report as lines of text.
    package var text: String {
        var lines = protection.map { [$0.line] } ?? []
        lines.append("\(program) \(version), up \(DurationText.text(seconds: started.seconds(until: now)))")
        for queue in queues {
            lines.append(
                "queue \(queue.number): \(queue.waiting) waiting, \(queue.packets) so far, "
                    + "\(UInt64(queue.droppedInQueue) + UInt64(queue.droppedOnTheWay)) lost")
        }
        lines.append("handshakes remembered: \(handshakes)")
        if let places {
            lines.append("protects: \(places.protected.joined(separator: ", "))")
            if !places.exempt.isEmpty { lines.append("exempt: \(places.exempt.joined(separator: ", "))") }
        }
        if let lockedOut { lines.append("locked out: \(lockedOut)") }
        if let usedCodes { lines.append("used codes remembered: \(usedCodes.taken), room for \(usedCodes.capacity)") }
        if let kernelFilter {
            lines.append("kernel filter: \(kernelFilter.wrong) SYNs dropped, \(kernelFilter.passed) passed on")
        }
        lines.append("\(partyLabel)s:")
        lines += TextTable.lines(parties.map { [$0.name, $0.scope] })
        lines.append("connections: \(connections.count)")
        lines += TextTable.lines(connections.map(row))
        if unrecorded > 0 { lines.append("  and \(unrecorded) more that there was no room to write down") }
        lines.append("packets by reason:")
        lines += TextTable.lines(
            Reason.allCases.filter { counters[$0] > 0 }.map { [$0.name, "\(counters[$0])", $0.explanation] })
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ connection: Connection) -> [String] {
        let age = DurationText.text(seconds: connection.connection.since.seconds(until: now))
        let isOlder = connection.connection.key == nil
        let bytes = connection.bytes.map { "\($0.received) bytes in, \($0.sent) out" } ?? "bytes not counted"
        return [
            connection.party ?? "(unknown)", "\(connection.flow.client) > \(connection.flow.server)",
            isOlder ? "longer than \(age)" : age, bytes,
        ]
    }

    /// The report as a JSON object.
    package var json: JSONValue {
        var members: [JSONValue.Member] = [.init("program", .string(program)), .init("version", .string(version))]
        if let protection {
            let ports = protection.unprotectedPorts
            members += [
                .init("protected", .boolean(protection.isProtected)),
                .init("unprotected_ports", ports.map { .array($0.map { .integer(Int($0)) }) } ?? .null),
                .init("closed_ports", protection.closedPorts.map { .array($0.map { .integer(Int($0)) }) } ?? .null),
                .init("protection", .string(protection.line)),
            ]
        }
        return .object(members + others.map { .init($0.key, $0.value) })
    }

    private var others: KeyValuePairs<String, JSONValue> {
        [
            "started": .string(SystemClock.timestamp(unixSeconds: started.unixSeconds)),
            "uptimeSeconds": .unsigned(started.seconds(until: now)),
            "queues": .array(queues.map(Self.json)), "handshakes": .integer(handshakes),
            "lockedOut": .integer(lockedOut),
            "protect": places.map { .array($0.protected.map { .string($0) }) } ?? .null,
            "exempt": places.map { .array($0.exempt.map { .string($0) }) } ?? .null,
            "usedCodes": usedCodes.map {
                .object(["taken": .integer($0.taken), "capacity": .integer($0.capacity)])
            } ?? .null,
            "kernelFilter": kernelFilter.map {
                .object(["dropped": .unsigned($0.wrong), "passed": .unsigned($0.passed)])
            } ?? .null,
            "\(partyLabel)s": .array(
                parties.map { .object(["name": .string($0.name), "scope": .string($0.scope)]) }),
            "connections": .array(connections.map(json)), "unrecordedConnections": .unsigned(unrecorded),
            "packets": .object(Reason.allCases.map { .init($0.name, .unsigned(counters[$0])) }),
        ]
    }

    private static func json(_ queue: QueueStatistics) -> JSONValue {
        .object([
            "number": .integer(Int(queue.number)), "holder": .integer(Int(queue.holder)),
            "waiting": .integer(Int(queue.waiting)), "packets": .integer(Int(queue.packets)),
            "droppedInQueue": .integer(Int(queue.droppedInQueue)),
            "droppedOnTheWay": .integer(Int(queue.droppedOnTheWay)),
        ])
    }

    private func json(_ connection: Connection) -> JSONValue {
        .object([
            partyLabel: .string(connection.party), "client": .string(connection.flow.client),
            "server": .string(connection.flow.server),
            "since": .string(SystemClock.timestamp(unixSeconds: connection.connection.since.unixSeconds)),
            "seconds": .unsigned(connection.connection.since.seconds(until: now)),
            "bytesReceived": .unsigned(connection.bytes?.received),
            "bytesSent": .unsigned(connection.bytes?.sent),
        ])
    }
}
