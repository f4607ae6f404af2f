// SPDX-License-Identifier: GPL-2.0-or-later
package import JSONText
package import KnockEngine
internal import Linux
internal import Program
package import Wire

/// How a daemon is doing, for people and for programs.
package struct StatusReport: Sendable {
    /// A guest or target.
    package struct Party: Sendable {
        package let name: String
        /// Where it is, on the client; from where and where to, on the server.
        package let scope: String

        /// Joins a name and where that is.
        package init(name: String, scope: String) {
            self.name = name
            self.scope = scope
        }
    }

    /// A queue of the kernel, as it counts its packets.
    package struct Queue: Sendable {
        /// Its number.
        package let number: UInt16
        /// The netlink port of its holder, which for most programs is their process id.
        package let holder: UInt32
        /// How many packets wait for a verdict now.
        package let waiting: UInt32
        /// How many there were so far.
        package let packets: UInt32
        /// How many the kernel discarded because too many waited.
        package let droppedInQueue: UInt32
        /// How many it discarded because they could not be handed over.
        package let droppedOnTheWay: UInt32

        /// Takes the kernel's figures.
        package init(
            number: UInt16, holder: UInt32, waiting: UInt32, packets: UInt32, droppedInQueue: UInt32,
            droppedOnTheWay: UInt32
        ) {
            self.number = number
            self.holder = holder
            self.waiting = waiting
            self.packets = packets
            self.droppedInQueue = droppedInQueue
            self.droppedOnTheWay = droppedOnTheWay
        }
    }

    /// An open connection.
    package struct Connection: Sendable {
        package let party: String?
        package let flow: Flow
        package let connection: OpenConnection
        package let bytes: ByteCount?

        /// Joins what is known of a connection.
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
    package let queues: [Queue]
    package let counters: Counters
    package let handshakes: Int
    package let parties: [Party]
    package let connections: [Connection]
    /// How many connections found no room in the book.
    package let unrecorded: UInt64
    /// How many addresses are locked out; nil on the client.
    package let lockedOut: Int?
    /// How many places for used codes are taken, and how many there are; nil on the client.
    package let usedCodes: (taken: Int, capacity: Int)?
    /// What the program in the kernel dropped and let pass; nil if there is none.
    package let kernelFilter: (wrong: UInt64, passed: UInt64)?
    /// Whose ports are protected, and who is exempt; nil on the client.
    package var places: (protected: [String], exempt: [String])?
    /// Whether the ports have their rules; nil on the client.
    package let protection: Protection?
    /// How often rules were lost that nobody took down; nil on the client.
    package let rulesLost: UInt64?

    /// Joins all that there is to say.
    package init(
        program: String, partyLabel: String, started: Instant, now: Instant, queues: [Queue], counters: Counters,
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

    /// Lines for people.
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

    /// One JSON object.
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

    private static func json(_ queue: Queue) -> JSONValue {
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

extension Instant {
    /// Whole seconds from this point in time to a later one.
    package func seconds(until later: Instant) -> UInt64 {
        later.uptime > uptime ? (later.uptime - uptime) / 1000 : 0
    }
}
