// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import KnockProtocol
internal import TestSupport
internal import Wire

/// The server's engine: an input is a sequence of packets, clock steps and changes of what is configured; each verdict
/// is compared with that of `ReferenceServer`.
struct ServerEngineTarget: ~Copyable {
    /// An input goes on no longer than this.
    private static let maximumSteps = 96

    private var reader: InputReader
    private var now = FuzzGuests.start
    private var engine: ServerEngine
    private var reference: ReferenceServer
    private let shared: SharedState
    private var last: [UInt8] = []
    private var packets: UInt64 = 0

    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        var world = ServerEngineTarget(input)
        for _ in 0..<maximumSteps where !world.reader.isAtEnd { try world.step() }
        var counted: UInt64 = 0
        for reason in Reason.allCases { counted += world.engine.counters[reason] }
        try hold(counted == world.packets, "\(world.packets) packets, \(counted) counted")
    }

    private init(_ input: [UInt8]) {
        reader = InputReader(input)
        var configuration = ServerEngine.Configuration.usual
        let flags = reader.uint8()
        configuration.usesTime = flags & 1 == 0
        // Small, so that they fill up, or large enough for all that an input holds.
        configuration.handshakeCapacity = flags & 2 == 0 ? 64 : 2
        configuration.replayCapacity = flags & 4 == 0 ? 64 : 3
        configuration.lockoutCapacity = flags & 8 == 0 ? 64 : 1
        // Counting reserves much memory, so only few inputs do it.
        configuration.wrongCodeLimit = flags & 0xf0 == 0xf0 ? 2 : flags & 0xf0 == 0xe0 ? 1 : 0
        configuration.reporting = .all
        Self.change(&configuration, reader.uint8())
        let guests = FuzzGuests.some(reader.uint8())
        shared = SharedState(configuration)
        engine = ServerEngine(guests: guests, configuration: configuration, shared: shared)
        reference = ReferenceServer(guests: guests, configuration)
    }

    /// Sets what can change while a server runs.
    private static func change(_ configuration: inout ServerEngine.Configuration, _ byte: UInt8) {
        configuration.looksClosed = byte & 1 != 0
        configuration.mostKeysTried = [8, 0, .max, 8][Int(byte >> 1 & 3)]
        configuration.targetPorts = byte & 8 == 0 ? [22, 443] : [443]
        configuration.lockoutSeconds = byte & 16 == 0 ? 120 : 5
        configuration.acceptsFastOpen = byte & 32 != 0
        configuration.exempt =
            byte & 0xa0 != 0xa0 ? [] : [IPPrefix(FuzzGuests.clients[0], length: 32)].compactMap(\.self)
        configuration.guestSYNRate = byte & 64 == 0 ? 2000 : 1
        configuration.locksOutEverybody = byte & 128 != 0
    }

    private mutating func step() throws(Violation) {
        switch reader.uint8() & 15 {
        case 0, 1, 2:
            let isMarked = reader.next & 0x60 == 0x40
            try pass(syn(), .inbound, PacketFacts(isMarked: isMarked))
        case 3, 4:
            let isMarked = reader.next & 0x60 == 0x40
            try pass(synACK(), .outbound, PacketFacts(isMarked: isMarked))
        case 5, 6: try pass(thirdACK(), .inbound)
        case 7: try pass(reset(), .inbound)
        case 8: try pass(anything(), .inbound)
        case 9:
            let choices = reader.uint8()
            let bytes = reader.bytes(Int(reader.uint8()))
            let facts = PacketFacts(checksumVerified: choices & 2 != 0, isMarked: choices & 4 != 0)
            try pass(bytes, choices & 1 == 0 ? .inbound : .outbound, facts)
        case 10: EngineTraffic.wait(&reader, &now)
        case 11: EngineTraffic.setClock(&reader, &now)
        case 12: reload()
        case 13:
            let address = reader.choice(FuzzGuests.clients)
            try hold(shared.unlock(address, at: now) == reference.unlock(address, at: now), "unlocking \(address)")
        case 14: now.uptime += UInt64(reader.uint8())
        default:
            let verified = reader.uint8() & 1 != 0
            try pass(EngineTraffic.damage(last, &reader), .inbound, PacketFacts(checksumVerified: verified))
        }
    }

    private mutating func reload() {
        var configuration = reference.configuration
        Self.change(&configuration, reader.uint8())
        let guests = FuzzGuests.some(reader.uint8())
        engine.adopt(guests: guests, configuration: configuration)
        shared.adopt(configuration)
        reference.adopt(guests: guests, configuration)
    }

    // MARK: Packets

    private static func packet(_ flow: Flow) -> TestPacket {
        var packet = TestPacket()
        (packet.source, packet.sourcePort) = (flow.clientAddress, flow.clientPort)
        (packet.destination, packet.destinationPort) = (flow.serverAddress, flow.serverPort)
        return packet
    }

    private mutating func syn() -> [UInt8] {
        var packet = Self.packet(EngineTraffic.flow(&reader))
        let (who, which, damage) = (reader.uint8(), reader.uint8(), reader.uint8())
        let keys = FuzzGuests.keys[Int(who & 15) % FuzzGuests.keys.count]
        packet.sequenceNumber = [0, 1, 0x7fff_ffff, 0xffff_ffff][Int(which & 3)]
        let number = Int64(clamping: now.slot.number) + [0, 0, -1, 1, -2, 2, 0, 60][Int(which >> 2 & 7)]
        let slot: TimeSlot = reference.configuration.usesTime ? TimeSlot(number: UInt64(max(0, number))) : .timeless
        let handshake: Handshake =
            who & 16 == 0
            ? Handshake(clientAddress: packet.source, clientISN: packet.sequenceNumber)
            : .roaming(clientISN: packet.sequenceNumber)
        packet.acknowledgmentNumber =
            SYNCode(keys: keys, handshake: handshake, slot: slot)[who & 32 == 0 ? .full : .windowed]
        packet.identifier =
            who & 64 == 0
            ? KeyHint(keys: keys, slot: slot).identifier(packet.source.family) : UInt32(damage)
        packet.flags = [.syn, .syn, [.syn, .ece, .cwr], [.syn, .psh, .urg]][Int(which >> 5 & 3)]
        if which & 128 != 0 { packet.payload = [1, 2, 3] }
        if damage == 0xff { packet.acknowledgmentNumber = 0 }
        if damage & 0xe0 == 0xc0 { packet.acknowledgmentNumber ^= 1 << UInt32(damage & 31) }
        return packet.bytes
    }

    private mutating func synACK() -> [UInt8] {
        let flow = EngineTraffic.flow(&reader)
        let choices = reader.uint8()
        var packet = TestPacket()
        (packet.source, packet.sourcePort) = (flow.serverAddress, flow.serverPort)
        (packet.destination, packet.destinationPort) = (flow.clientAddress, flow.clientPort)
        packet.flags = choices & 0xe0 == 0xe0 ? [.ack, .psh] : [.syn, .ack]
        packet.sequenceNumber = [0xffff_ffff, 0x1234_5678, 7, 0xffff_8000][Int(choices & 3)]
        let known = reference.handshake(flow, at: now)?.handshake.clientISN ?? 0
        // With TCP Fast Open it acknowledges data, too.
        packet.acknowledgmentNumber = known &+ 1 &+ (choices & 4 == 0 ? 0 : 3)
        packet.identifier = choices & 8 == 0 ? 0 : 0xffff
        packet.tcpOptions = choices & 16 == 0 ? [] : [2, 4, 5, 0xb4]
        return packet.bytes
    }

    private mutating func thirdACK() -> [UInt8] {
        let flow = EngineTraffic.flow(&reader)
        let (choices, others) = (reader.uint8(), reader.uint8())
        var packet = Self.packet(flow)
        packet.flags = [.ack, [.ack, .psh], [.ack, .fin], [.ack, .urg, .ece]][Int(others & 3)]
        if let pending = reference.handshake(flow, at: now), let latest = pending.serverISNs.first {
            let masked = ReferenceServer.rewrite(pending, flow, latest).sequenceNumber ?? 0
            let earlier = pending.serverISNs.last ?? latest
            packet.acknowledgmentNumber =
                [latest, latest, latest, earlier, masked, latest &+ 1, masked &+ 1, 5][Int(choices & 7)] &+ 1
            packet.sequenceNumber = pending.acknowledged &+ (choices & 0x30 == 0x30 ? 1 : 0)
        }
        if others & 4 != 0 { packet.payload = Array("x".utf8) }
        let bytes = packet.bytes
        return others & 0xf8 == 0xf8 ? bytes.flipping(bit: (packet.transportOffset + 14) * 8) : bytes
    }

    private mutating func reset() -> [UInt8] {
        let flow = EngineTraffic.flow(&reader)
        let choices = reader.uint8()
        var packet = Self.packet(flow)
        packet.flags = choices & 1 == 0 ? .rst : [.rst, .ack]
        packet.sequenceNumber = (reference.handshake(flow, at: now)?.acknowledged ?? 0) &+ (choices & 6 == 6 ? 1 : 0)
        let bytes = packet.bytes
        return choices & 0x38 == 0x38 ? bytes.flipping(bit: (packet.transportOffset + 14) * 8) : bytes
    }

    private mutating func anything() -> [UInt8] {
        var packet = Self.packet(EngineTraffic.flow(&reader))
        packet.flags = TCPFlags(rawValue: reader.uint8())
        packet.sequenceNumber = reader.uint32()
        packet.acknowledgmentNumber = reader.uint32()
        packet.identifier = UInt32(reader.uint16())
        return packet.bytes
    }

    // MARK: Comparison

    private mutating func pass(
        _ bytes: [UInt8], _ direction: Direction, _ facts: PacketFacts = PacketFacts()
    ) throws(Violation) {
        last = bytes
        packets += 1
        let (verdict, _) = try EngineTraffic.pass(
            bytes, through: &engine, direction, facts, at: now)
        let expected = expected(bytes, direction, facts)
        try hold(
            verdict == expected.verdict,
            "\(direction) \(String(describing: expected.packet)) is \(verdict) instead of \(expected.verdict)")
        try hold(
            engine.handshakeCount <= reference.configuration.handshakeCapacity, "\(engine.handshakeCount) handshakes")
        let lockedOut = shared.lockedOut(at: now)
        try hold(lockedOut.count <= reference.configuration.lockoutCapacity, "\(lockedOut.count) lockouts")
        for (subject, _) in lockedOut {
            try hold(reference.isLockedOut(subject.address, subject.key, at: now), "\(subject) is locked out")
        }
        try checkEvents(verdict)
    }

    private mutating func expected(
        _ bytes: [UInt8], _ direction: Direction, _ facts: PacketFacts
    ) -> (verdict: Verdict, packet: ParsedPacket?) {
        do throws(WireError) {
            let packet = try ParsedPacket(bytes)
            let flow = EngineTraffic.flow(packet, fromClient: direction == .inbound)
            let isRight = packet.isComplete ? packet.hasValidTCPChecksum : facts.checksumVerified
            let verdict = reference.judge(
                packet, flow, direction, isChecksumRight: isRight, isMarked: facts.isMarked, at: now)
            return (verdict, packet)
        } catch {
            return (Verdict(.drop, Reason(error)), nil)
        }
    }

    /// Each verdict about a flow is told once, since all are reported.
    private mutating func checkEvents(_ verdict: Verdict) throws(Violation) {
        guard let event = engine.nextEvent() else { return }
        try hold(event.reason == verdict.reason && event.time == now, "\(event) of \(verdict)")
        try hold(engine.nextEvent() == nil, "told twice: \(verdict)")
    }
}
