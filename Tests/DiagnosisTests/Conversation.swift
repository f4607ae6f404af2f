// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import KnockProtocol
import TestSupport
import Wire

/// The packets of one connection as a capture has them, made by hand.
struct Conversation: CustomStringConvertible, Sendable {
    var family = IPFamily.ipv4
    var mode = MaskMode.full
    /// `A`; nil: the client's own address.
    var boundTo: IPAddress?
    var keys = TestKeys.published
    /// Minutes by which the client's clock is ahead of the capture's.
    var minutesAhead = 0
    var usesTime = true
    /// `S`.
    var serverISN: UInt32 = 0x9abc_def0

    static let kinds = IPFamily.allCases.flatMap { family in
        MaskMode.allCases.map { Conversation(family: family, mode: $0) }
    }
    static let start: Int64 = 1_710_000_000
    static let clientISN: UInt32 = 0x1234_5678

    var description: String { "IPv\(family.rawValue), \(mode)" }

    var client: IPAddress {
        family == .ipv4 ? IPAddress(192, 0, 2, 10) : IPAddress(high: 0x2001_0db8_0000_0000, low: 0x10)
    }
    var server: IPAddress {
        family == .ipv4 ? IPAddress(198, 51, 100, 22) : IPAddress(high: 0x2001_0db8_0000_0000, low: 0x22)
    }
    var handshake: Handshake { Handshake(clientAddress: boundTo ?? client, clientISN: Self.clientISN) }
    var slot: TimeSlot {
        usesTime ? TimeSlot(unixSeconds: Self.start + Int64(minutesAhead) * 60) : .timeless
    }
    var code: UInt32 { SYNCode(keys: keys, handshake: handshake, slot: slot)[mode] }
    var nonce: UInt32 {
        ServerProof.nonce(keys: keys, handshake: handshake, serverISN: serverISN, mode: mode, family: family)
    }
    var maskedISN: UInt32 {
        ISNMask(keys: keys, handshake: handshake, nonce: nonce, mode: mode).mask(serverISN)
    }

    func fromClient(_ flags: TCPFlags, _ sequence: UInt32, _ acknowledgment: UInt32, _ payload: Int = 0) -> [UInt8] {
        var packet = TestPacket()
        (packet.source, packet.destination) = (client, server)
        (packet.flags, packet.sequenceNumber, packet.acknowledgmentNumber) = (flags, sequence, acknowledgment)
        packet.payload = [UInt8](repeating: 0x61, count: payload)
        return packet.bytes
    }

    func fromServer(
        _ flags: TCPFlags, _ sequence: UInt32, _ acknowledgment: UInt32, _ payload: Int = 0, nonce: UInt32 = 0
    ) -> [UInt8] {
        var packet = TestPacket()
        (packet.source, packet.destination) = (server, client)
        (packet.sourcePort, packet.destinationPort) = (22, 40_000)
        (packet.flags, packet.sequenceNumber, packet.acknowledgmentNumber) = (flags, sequence, acknowledgment)
        packet.payload = [UInt8](repeating: 0x62, count: payload)
        packet.identifier = nonce
        return packet.bytes
    }

    var syn: [UInt8] { syn(code: code) }
    func syn(code: UInt32, identifier: UInt32 = 0) -> [UInt8] {
        var packet = TestPacket()
        (packet.source, packet.destination) = (client, server)
        (packet.sequenceNumber, packet.acknowledgmentNumber) = (Self.clientISN, code)
        packet.identifier = identifier
        return packet.bytes
    }
    var synACK: [UInt8] { synACK(isn: maskedISN, nonce: nonce) }
    func synACK(isn: UInt32, nonce: UInt32) -> [UInt8] {
        fromServer([.syn, .ack], isn, Self.clientISN &+ 1, nonce: nonce)
    }
    var ack: [UInt8] { ack(of: serverISN) }
    func ack(of isn: UInt32) -> [UInt8] { fromClient(.ack, Self.clientISN &+ 1, isn &+ 1) }
    func clientData(_ offset: UInt32, _ count: Int) -> [UInt8] {
        fromClient([.ack, .psh], Self.clientISN &+ 1 &+ offset, serverISN &+ 1, count)
    }
    func serverData(_ offset: UInt32, _ count: Int) -> [UInt8] {
        fromServer([.ack, .psh], serverISN &+ 1 &+ offset, Self.clientISN &+ 1, count)
    }

    /// A tracer that has taken packets, one a second.
    func traced(_ packets: [[UInt8]], _ search: CodeSearch? = nil) -> HandshakeTracer {
        var tracer = HandshakeTracer(
            search: search ?? CodeSearch(keys: [NamedKey(name: "k", keys: TestKeys.published)]))
        for (second, packet) in packets.enumerated() {
            tracer.take(packet.span, at: CaptureTime(seconds: Self.start + Int64(second)))
        }
        return tracer
    }

    /// The one handshake in packets.
    func trace(_ packets: [[UInt8]], _ search: CodeSearch? = nil) -> HandshakeTrace? {
        let handshakes = traced(packets, search).handshakes
        return handshakes.count == 1 ? handshakes[0] : nil
    }
}
