// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Wire

/// The two kernels of a connection: they make the packets that the daemons see.
struct Conversation: Sendable, CustomStringConvertible {
    /// The client as the server sees it.
    var client = IPAddress(192, 0, 2, 10)
    var server = IPAddress(198, 51, 100, 22)
    var clientPort: UInt16 = 40_000
    var serverPort: UInt16 = 22
    /// `C`.
    var clientISN: UInt32 = 0x1234_5678
    /// `S`.
    var serverISN: UInt32 = 0x9abc_def0
    /// `M`.
    var mode = MaskMode.full

    init() {}

    init(_ family: IPFamily, _ mode: MaskMode = .full) {
        self.mode = mode
        if family == .ipv6 {
            client = IPAddress(high: 0x2001_0db8_0000_0000, low: 0x10)
            server = IPAddress(high: 0x2001_0db8_0000_0000, low: 0x22)
        }
    }

    /// One of each family and mode.
    static let kinds = IPFamily.allCases.flatMap { family in MaskMode.allCases.map { Conversation(family, $0) } }

    var description: String { "IPv\(client.family.rawValue), \(mode)" }

    /// The same with something else.
    func with(_ change: (inout Conversation) -> Void) -> Conversation {
        var copy = self
        change(&copy)
        return copy
    }

    var flow: Flow {
        Flow(clientAddress: client, clientPort: clientPort, serverAddress: server, serverPort: serverPort)
    }

    var handshake: Handshake { Handshake(clientAddress: client, clientISN: clientISN) }

    /// A segment of the client.
    func fromClient(
        sequence: UInt32, acknowledgment: UInt32, _ flags: TCPFlags, options: [UInt8] = [], payload: [UInt8] = []
    ) -> [UInt8] {
        var packet = TestPacket()
        (packet.source, packet.destination) = (client, server)
        (packet.sourcePort, packet.destinationPort) = (clientPort, serverPort)
        (packet.sequenceNumber, packet.acknowledgmentNumber) = (sequence, acknowledgment)
        (packet.flags, packet.tcpOptions, packet.payload) = (flags, options, payload)
        packet.identifier = 0x4242
        return packet.bytes
    }

    /// A segment of the server.
    func fromServer(
        sequence: UInt32, acknowledgment: UInt32, _ flags: TCPFlags, identifier: UInt32 = 0
    ) -> [UInt8] {
        var packet = TestPacket()
        (packet.source, packet.destination) = (server, client)
        (packet.sourcePort, packet.destinationPort) = (serverPort, clientPort)
        (packet.sequenceNumber, packet.acknowledgmentNumber) = (sequence, acknowledgment)
        (packet.flags, packet.tcpOptions) = (flags, [2, 4, 5, 0xb4])
        packet.identifier = identifier
        return packet.bytes
    }

    /// The SYN as the client's kernel makes it.
    var plainSYN: [UInt8] {
        fromClient(sequence: clientISN, acknowledgment: 0, .syn, options: [2, 4, 5, 0xb4, 1, 3, 3, 7])
    }

    /// The code of its SYN in a slot.
    func code(_ slot: TimeSlot, keys: KeySchedule = TestKeys.published) -> UInt32 {
        SYNCode(keys: keys, handshake: handshake, slot: slot)[mode]
    }

    /// The SYN as it is on the wire in a slot.
    func syn(_ slot: TimeSlot, keys: KeySchedule = TestKeys.published, flags: TCPFlags = .syn, payload: [UInt8] = [])
        -> [UInt8]
    {
        fromClient(
            sequence: clientISN, acknowledgment: code(slot, keys: keys), flags, options: [2, 4, 5, 0xb4, 1, 3, 3, 7],
            payload: payload)
    }

    /// The SYN/ACK as the server's kernel makes it.
    func synAck(acknowledging bytes: UInt32 = 1) -> [UInt8] {
        fromServer(sequence: serverISN, acknowledgment: clientISN &+ bytes, [.syn, .ack])
    }

    /// `N` and `E`.
    var masked: (nonce: UInt32, serverISN: UInt32) {
        let nonce = ServerProof.nonce(
            keys: TestKeys.published, handshake: handshake, serverISN: serverISN, mode: mode, family: client.family)
        let mask = ISNMask(keys: TestKeys.published, handshake: handshake, nonce: nonce, mode: mode)
        return (nonce, mask.mask(serverISN))
    }

    /// The SYN/ACK as it is on the wire.
    func maskedSYNACK(acknowledging bytes: UInt32 = 1) -> [UInt8] {
        let (nonce, serverISN) = masked
        return fromServer(
            sequence: serverISN, acknowledgment: clientISN &+ bytes, [.syn, .ack], identifier: nonce)
    }

    /// The right third ACK.
    var thirdACK: [UInt8] { acknowledging(serverISN &+ 1) }

    /// A third ACK of any number.
    func acknowledging(_ number: UInt32, flags: TCPFlags = .ack, payload: [UInt8] = []) -> [UInt8] {
        fromClient(sequence: clientISN &+ 1, acknowledgment: number, flags, payload: payload)
    }

    /// A RST of the client with a sequence number counted from its ISN.
    func reset(_ offset: UInt32 = 1) -> [UInt8] {
        fromClient(sequence: clientISN &+ offset, acknowledgment: 0, .rst)
    }
}

extension [UInt8] {
    /// The same packet with a wrong TCP checksum.
    func damaged() -> [UInt8] {
        var copy = self
        copy[(self[0] >> 4 == 4 ? 20 : 40) + 16] ^= 0x11
        return copy
    }
}
