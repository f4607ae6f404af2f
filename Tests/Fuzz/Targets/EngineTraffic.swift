// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import TestSupport
internal import Wire

/// Packets on their way through an engine, and what must hold of them whatever is decided.
enum EngineTraffic {
    /// Has an engine decide on bytes.
    ///
    /// - Returns: What it decided, and the bytes afterwards.
    static func pass<Side: Engine & ~Copyable>(
        _ bytes: [UInt8], through engine: inout Side, _ direction: Direction, _ facts: PacketFacts, at now: Instant
    ) throws(Violation) -> (verdict: Verdict, bytes: [UInt8]) {
        var copy = bytes
        var span = copy.mutableSpan
        let verdict = engine.process(&span, direction, at: now, facts)
        guard case .rewrite(let rewrite) = verdict.action else {
            try hold(copy == bytes, "changed without a word: \(verdict)")
            return (verdict, copy)
        }
        guard let before = try? ParsedPacket(bytes), let after = try? ParsedPacket(copy) else {
            throw Violation("what was rewritten is no packet")
        }
        try hold(before.isComplete, "rewritten without being there")
        try hold(
            PlainChecksum.ofSegment(bytes, before) == PlainChecksum.ofSegment(copy, after),
            "the TCP checksum after \(verdict)")
        if before.family == .ipv4 {
            try hold(
                PlainChecksum.ofHeader(bytes) == PlainChecksum.ofHeader(copy),
                "the IPv4 header checksum after \(verdict)")
        }
        try hold(
            after.sequenceNumber == rewrite.sequenceNumber ?? before.sequenceNumber
                && after.acknowledgmentNumber == rewrite.acknowledgmentNumber ?? before.acknowledgmentNumber
                && after.identifier == rewrite.identifier ?? before.identifier, "\(verdict) gave \(after)")
        return (verdict, copy)
    }

    /// The flow of a packet.
    static func flow(_ packet: ParsedPacket, fromClient: Bool) -> Flow {
        fromClient
            ? Flow(
                clientAddress: packet.source, clientPort: packet.sourcePort, serverAddress: packet.destination,
                serverPort: packet.destinationPort)
            : Flow(
                clientAddress: packet.destination, clientPort: packet.destinationPort, serverAddress: packet.source,
                serverPort: packet.sourcePort)
    }

    /// Reads a flow among the few there are.
    static func flow(_ reader: inout InputReader) -> Flow {
        let byte = reader.uint8()
        let client = FuzzGuests.clients[Int(byte & 7) % FuzzGuests.clients.count]
        return Flow(
            clientAddress: client, clientPort: byte & 8 == 0 ? 40_000 : 40_001,
            serverAddress: FuzzGuests.server(for: client, byte >> 7), serverPort: [22, 443, 80, 22][Int(byte >> 4 & 3)])
    }

    /// Reads how far both clocks go on; the last choices are those at which something happens.
    static func wait(_ reader: inout InputReader, _ now: inout Instant) {
        let seconds = reader.choice([0, 1, 9, 10, 29, 30, 59, 60, 119, 120, 121, 179, 180, 181, 300, 601, 90_000])
        now.unixSeconds += Int64(seconds)
        now.uptime += UInt64(seconds) * 1000
    }

    /// Reads a step of the wall clock alone, back or forth.
    static func setClock(_ reader: inout InputReader, _ now: inout Instant) {
        now.unixSeconds += reader.choice([-1, 1, -30, 30, -60, 60, -120, 120, -180, 180, -600, 600, -90_000, 90_000])
    }

    /// Reads a change of bits, or a new length.
    static func damage(_ bytes: [UInt8], _ reader: inout InputReader) -> [UInt8] {
        let (how, where_) = (reader.uint8(), Int(reader.uint16()))
        guard !bytes.isEmpty else { return bytes }
        if how & 0xf0 == 0xf0 { return Array(bytes.prefix(where_ % (bytes.count + 1))) }
        return how & 1 == 0 ? bytes : bytes.flipping(bit: where_ % (bytes.count * 8))
    }
}
