// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

@testable import Netfilter

/// A datagram about connections that have ended, and a line of /proc about a queue.
enum ConntrackTarget {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        var batch = ConntrackEvents.Batch()
        var connections: [TrackedConnection] = []
        // In memory of its own, aligned as the receive buffer is.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: input.count, alignment: 16)
        defer { memory.deallocate() }
        memory.copyBytes(from: input)
        ConntrackEvents.take(UnsafeRawBufferPointer(memory), &batch, &connections)
        try hold(batch.connections == connections.count, "\(batch.connections) of \(connections.count) are counted")
        try hold(batch.connections + batch.malformedMessages <= batch.messages + 1, "\(batch)")
        // nlmsghdr is the least that a message takes.
        try hold(batch.messages <= input.count / 16, "\(batch.messages) messages in \(input.count) bytes")
        for connection in connections {
            try hold(
                connection.flow.clientAddress.family == connection.flow.serverAddress.family,
                "two families in \(connection)")
        }
    }
}
