// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Wire

/// Packets of one kind, one behind the other in memory, as a batch from the kernel is.
struct Packets {
    private(set) var bytes: [UInt8]
    private let pristine: [UInt8]
    private let length: Int
    let count: Int

    /// Makes `count` packets; all must be equally long.
    init(count: Int, _ make: (Int) -> TestPacket) {
        let packets = (0..<count).map { make($0).bytes }
        length = packets.first?.count ?? 0
        precondition(packets.allSatisfy { [length] in $0.count == length }, "packets of different lengths")
        bytes = Array(packets.joined())
        pristine = bytes
        self.count = count
    }

    /// Takes back what verdicts have changed.
    mutating func restore() {
        bytes.withUnsafeMutableBytes { to in pristine.withUnsafeBytes { to.copyMemory(from: $0) } }
    }

    /// Lends one packet after the other.
    @inline(__always)
    mutating func forEach(_ body: (inout MutableSpan<UInt8>) -> Void) {
        let length = length
        let count = count
        var all = bytes.mutableSpan
        for index in 0..<count {
            var packet = all._mutatingExtracting(index * length..<(index + 1) * length)
            body(&packet)
        }
    }
}

/// The packets of many handshakes between different clients and one server.
struct Handshakes {
    /// What a Linux SYN carries: MSS, SACK permitted, timestamps, no-operation, window scale.
    static let synOptions = [UInt8](hex: "020405b4 0402080a 00000000 00000000 01030307")
    static let port: UInt16 = 22

    var syn: Packets
    var retransmission: Packets
    var synAck: Packets
    var ack: Packets
    var wrongAck: Packets
    var data: Packets
    var reset: Packets

    init(count: Int, ipv6: Bool, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let isns = (0..<count).map { _ in
            (
                client: UInt32(truncatingIfNeeded: random.next()),
                server: UInt32(truncatingIfNeeded: random.next())
            )
        }
        func packet(_ index: Int, _ flags: TCPFlags, options: [UInt8] = [], payload: [UInt8] = []) -> TestPacket {
            var packet = TestPacket()
            packet.source = Self.client(index, ipv6: ipv6)
            packet.destination = ipv6 ? IPAddress(high: 0x2001_0db8_ffff_0000, low: 22) : IPAddress(198, 51, 100, 22)
            packet.sourcePort = UInt16(20_000 + index)
            packet.destinationPort = Self.port
            packet.flags = flags
            packet.tcpOptions = options
            packet.payload = payload
            packet.sequenceNumber = isns[index].client &+ (flags.contains(.syn) ? 0 : 1)
            packet.acknowledgmentNumber = flags.contains(.ack) ? isns[index].server &+ 1 : 0
            return packet
        }
        syn = Packets(count: count) { packet($0, .syn, options: Self.synOptions) }
        retransmission = syn
        synAck = Packets(count: count) { index in
            var answer = packet(index, [.syn, .ack], options: Self.synOptions)
            swap(&answer.source, &answer.destination)
            swap(&answer.sourcePort, &answer.destinationPort)
            answer.sequenceNumber = isns[index].server
            answer.acknowledgmentNumber = isns[index].client &+ 1
            return answer
        }
        ack = Packets(count: count) { packet($0, .ack) }
        wrongAck = Packets(count: count) { index in
            var wrong = packet(index, .ack)
            wrong.acknowledgmentNumber ^= 0x0001_0000
            return wrong
        }
        data = Packets(count: count) { packet($0, [.ack, .psh], payload: [UInt8](repeating: 0x55, count: 32)) }
        reset = Packets(count: count) { packet($0, .rst) }
    }

    mutating func restore() {
        syn.restore()
        retransmission.restore()
        synAck.restore()
    }

    /// SYNs with random codes, from other clients than those of the handshakes.
    static func wrongSYNs(count: Int, ipv6: Bool, seed: UInt64, port: UInt16 = Self.port) -> Packets {
        var random = SeededGenerator(seed: seed)
        return Packets(count: count) { index in
            var packet = TestPacket()
            packet.source = client(index + 0x10000, ipv6: ipv6)
            packet.destination = ipv6 ? IPAddress(high: 0x2001_0db8_ffff_0000, low: 22) : IPAddress(198, 51, 100, 22)
            packet.sourcePort = UInt16.random(in: 1024...65535, using: &random)
            packet.destinationPort = port
            packet.tcpOptions = synOptions
            packet.sequenceNumber = UInt32.random(in: 0...UInt32.max, using: &random)
            packet.acknowledgmentNumber = UInt32.random(in: 1...UInt32.max, using: &random)
            packet.identifier = UInt32.random(in: 0...0xffff, using: &random)
            return packet
        }
    }

    private static func client(_ index: Int, ipv6: Bool) -> IPAddress {
        ipv6
            ? IPAddress(high: 0x2001_0db8_0000_0000, low: UInt64(index) &* 0x9e37_79b9_7f4a_7c15)
            : IPAddress(ipv4: 0x2000_0000 | UInt32(index))
    }
}
