// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import TestSupport
internal import Wire

/// The client's engine: an input is a sequence of packets, clock steps and changes of the targets; each verdict is
/// compared with that of `ReferenceClient`, and nothing is dropped but what lacks a proof that is asked for.
struct ClientEngineTarget: ~Copyable {
    /// An input goes on no longer than this.
    private static let maximumSteps = 96

    private var reader: InputReader
    private var now = FuzzGuests.start
    private var engine: ClientEngine
    private var reference: ReferenceClient
    private let capacity: Int
    private var last: [UInt8] = []
    /// The SYN that went out last on each flow.
    private var syns: [Flow: ParsedPacket] = [:]

    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        var world = ClientEngineTarget(input)
        for _ in 0..<maximumSteps where !world.reader.isAtEnd { try world.step() }
    }

    private init(_ input: [UInt8]) {
        reader = InputReader(input)
        capacity = reader.uint8() & 1 == 0 ? 64 : 2
        let targets = Self.targets(&reader)
        engine = ClientEngine(targets: targets, reporting: .all, handshakeCapacity: capacity)
        reference = ReferenceClient(targets: targets, capacity: capacity)
    }

    /// Up to three targets, among them one for all servers.
    private static func targets(_ reader: inout InputReader) -> [Target] {
        let mask = reader.uint8()
        return (0..<3).filter { mask & 1 << UInt8($0) != 0 }.map { position in
            let choices = reader.uint8()
            let everywhere = [
                IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
            ]
            let prefixes = [
                everywhere, FuzzGuests.servers.map { IPPrefix($0, length: $0.family == .ipv4 ? 32 : 128) },
                [IPPrefix(FuzzGuests.servers[0], length: 24)],
            ]
            let nat = [IPFamily.ipv4: IPAddress(203, 0, 113, 77)]
            return Target(
                id: KeyID(UInt32(position + 1)), keys: FuzzGuests.keys[position],
                prefixes: prefixes[position].compactMap(\.self), ports: choices & 1 == 0 ? [22] : [22, 443],
                binding: [.ownAddress, .natAddresses(nat), .none, .ownAddress][Int(choices >> 1 & 3)],
                maskMode: [nil, nil, .full, .windowed][Int(choices >> 3 & 3)], requiresProof: choices & 32 != 0,
                usesTime: choices & 64 == 0, sendsHint: choices & 128 == 0)
        }
    }

    private mutating func step() throws(Violation) {
        switch reader.uint8() & 7 {
        case 0, 1: try pass(syn(), .outbound)
        case 2, 3: try pass(synACK(), .inbound)
        case 4:
            let choices = reader.uint8()
            try pass(reader.bytes(Int(reader.uint8())), choices & 1 == 0 ? .inbound : .outbound)
        case 5:
            if reader.uint8() & 1 == 0 {
                EngineTraffic.wait(&reader, &now)
            } else {
                EngineTraffic.setClock(&reader, &now)
            }
        case 6:
            let targets = Self.targets(&reader)
            engine.adopt(targets: targets)
            reference.adopt(targets)
        default:
            let direction: Direction = reader.uint8() & 1 == 0 ? .inbound : .outbound
            try pass(EngineTraffic.damage(last, &reader), direction)
        }
    }

    private mutating func syn() -> [UInt8] {
        let flow = EngineTraffic.flow(&reader)
        let choices = reader.uint8()
        var packet = TestPacket()
        (packet.source, packet.sourcePort) = (flow.clientAddress, flow.clientPort)
        (packet.destination, packet.destinationPort) = (flow.serverAddress, flow.serverPort)
        packet.sequenceNumber = [0, 1, 0x7fff_ffff, 0xffff_ffff][Int(choices & 3)]
        packet.acknowledgmentNumber = choices & 0x1c == 0x1c ? 5 : 0
        packet.identifier = UInt32(choices)
        packet.payload = [UInt8](repeating: choices, count: Int(choices >> 6))
        return packet.bytes
    }

    /// The answer of a server that holds a key, to the SYN that went out or to another.
    private mutating func synACK() -> [UInt8] {
        let flow = EngineTraffic.flow(&reader)
        let (choices, damage) = (reader.uint8(), reader.uint8())
        var packet = TestPacket()
        (packet.source, packet.sourcePort) = (flow.serverAddress, flow.serverPort)
        (packet.destination, packet.destinationPort) = (flow.clientAddress, flow.clientPort)
        packet.flags = [.syn, .ack]
        let clientISN = syns[flow]?.sequenceNumber ?? 0
        packet.acknowledgmentNumber = clientISN &+ 1 &+ (choices & 12 == 12 ? 3 : 0)
        let serverISN: UInt32 = [0xffff_ffff, 0x1234_5678, 7, 0xffff_8000][Int(choices & 3)]
        let target = choices & 16 == 0 ? reference.target(flow) : reference.targets.first
        guard let target, choices & 0x60 != 0x60 else {
            packet.sequenceNumber = serverISN
            packet.identifier = UInt32(damage)
            return packet.bytes
        }
        let (handshake, mode) = ReferenceClient.terms(target, flow.clientAddress, clientISN)
        let nonce = ServerProof.nonce(
            keys: target.keys, handshake: handshake, serverISN: serverISN, mode: mode,
            family: flow.clientAddress.family)
        packet.identifier = nonce
        packet.sequenceNumber =
            ISNMask(keys: target.keys, handshake: handshake, nonce: nonce, mode: mode).mask(serverISN)
        if damage & 0xe0 == 0xe0 { packet.sequenceNumber ^= 1 << UInt32(damage & 31) }
        if damage & 0xf0 == 0xd0 { packet.identifier ^= 1 << UInt32(damage & 15) }
        return packet.bytes
    }

    private mutating func pass(_ bytes: [UInt8], _ direction: Direction) throws(Violation) {
        last = bytes
        let (verdict, after) = try EngineTraffic.pass(
            bytes, through: &engine, direction, PacketFacts(), at: now)
        var expected = Verdict(.accept, .truncated)
        var packet: ParsedPacket?
        do throws(WireError) {
            let parsed = try ParsedPacket(bytes)
            let flow = EngineTraffic.flow(parsed, fromClient: direction == .outbound)
            expected = reference.judge(parsed, flow, direction, at: now)
            packet = parsed
            if verdict.reason == .synCoded { syns[flow] = try ParsedPacket(after) }
        } catch {
            expected = Verdict(.accept, Reason(error))
        }
        try hold(
            verdict == expected, "\(direction) \(String(describing: packet)) is \(verdict) instead of \(expected)")
        try hold(engine.handshakeCount <= capacity, "\(engine.handshakeCount) handshakes")
        if verdict.action == .drop {
            try hold(
                direction == .inbound && reference.targets.contains { $0.requiresProof },
                "dropped, and no server must prove itself")
        }
        while engine.nextEvent() != nil {}
    }
}
