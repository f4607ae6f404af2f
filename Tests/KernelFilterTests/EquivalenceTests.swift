// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KernelFilter
import KnockProtocol
import SystemPackage
import TestSupport
import Testing
import Wire

/// The program in the kernel against the Swift code that the daemon judges with, on random packets.
@Suite(.enabled(if: BPFFileSystem.obstacle == nil, Comment(rawValue: BPFFileSystem.obstacle ?? "")))
struct EquivalenceTests {
    /// A tenth without optimisation or with a sanitizer, so that it takes no longer.
    #if DEBUG
        private static let packets = 100_000
    #else
        private static let packets = hasSanitizer ? 100_000 : 1_000_000
        private static let hasSanitizer = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
    #endif
    private static let packetsPerConfiguration = 500

    @Test("Kernel and daemon judge a million packets alike")
    func equivalence() throws {
        var random = SeededGenerator("equivalence")
        let files = try BPFFileSystem()
        let filter = try withExtendedLifetime(files) {
            try KernelFilter.load(
                object: try KernelFilter.locateObject(), pinFolder: files.root.appending("equivalence"))
        }
        var tally = [false: 0, true: 0]
        var triedAtHook = 0
        for _ in 0..<Self.packets / Self.packetsPerConfiguration {
            let configuration = Configuration(&random)
            try filter.update(
                keys: configuration.keys, usesTime: configuration.usesTime, clock: .at(configuration.slot))
            for _ in 0..<Self.packetsPerConfiguration {
                let bytes = configuration.packet(&random)
                let expected = configuration.drops(bytes)
                tally[expected, default: 0] += 1
                // At a hook the kernel tries nothing that is shorter than an IPv4 header.
                let atHook = bytes.count < 20 ? nil : try filter.hookDrops(bytes)
                triedAtHook += atHook == nil ? 0 : 1
                for actual in [try filter.drops(bytes), atHook].compactMap(\.self) where actual != expected {
                    Issue.record("kernel drops: \(actual), daemon: \(expected); \(configuration): \(bytes.hex)")
                    return
                }
            }
        }
        #expect(triedAtHook > (filter.hookObstacle == nil ? Self.packets * 9 / 10 : -1))
        // Neither answer is rare.
        #expect(tally.values.allSatisfy { $0 > Self.packets / 5 }, "\(tally)")
    }
}

/// Keys and time, and what they make of packets.
private struct Configuration: CustomStringConvertible {
    let keys: [FilterKey]
    let usesTime: Bool
    let slot: TimeSlot

    init(_ random: inout SeededGenerator) {
        // Few more often than many, which take longer.
        let count = Bool.random(using: &random) ? 1 : Int.random(in: 1...16, using: &random)
        let roaming = [0, 0, UInt16.random(in: 0...UInt16.max, using: &random)].randomElement(using: &random) ?? 0
        keys = FilterKeys.all.prefix(16).shuffled(using: &random).prefix(count).enumerated().map { index, keys in
            FilterKey(keys, isRoaming: roaming >> UInt16(index) & 1 == 1)
        }
        usesTime = Int.random(in: 0..<5, using: &random) > 0
        let number =
            switch Int.random(in: 0..<10, using: &random) {
            case 0: UInt64.random(in: 0...2, using: &random)
            case 1: UInt64.random(in: 0...153_000_000, using: &random)
            default: UInt64.random(in: 28_000_000...30_000_000, using: &random)
            }
        slot = TimeSlot(number: number)
    }

    var description: String { "\(keys.count) keys, \(usesTime ? "slot \(slot.number)" : "time off")" }

    /// How an IPv4-mapped address begins.
    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    /// What the daemon's engine makes of a packet, as far as the filter may judge.
    func drops(_ bytes: [UInt8]) -> Bool {
        guard let packet = try? Packet(validating: bytes.span), packet.segment.flags.isSYN else { return false }
        let field = packet.segment.acknowledgmentNumber
        guard field != 0 else { return true }
        let bound = Handshake(clientAddress: packet.source, clientISN: packet.segment.sequenceNumber)
        let roaming = Handshake.roaming(clientISN: packet.segment.sequenceNumber)
        let slots = usesTime ? [slot.previous, slot, slot.next].compactMap { $0 } : [.timeless]
        return !keys.contains { key in
            (key.isRoaming ? [bound, roaming] : [bound]).contains { handshake in
                slots.contains { SYNCode(keys: key.keys, handshake: handshake, slot: $0).mode(of: field) != nil }
            }
        }
    }

    /// A packet: mostly a SYN of one of the keys, of a slot near now, that can be read; but all of that only mostly.
    func packet(_ random: inout SeededGenerator) -> [UInt8] {
        var packet = TestPacket()
        if Bool.random(using: &random) {
            packet.source = IPAddress(ipv4: random.next32())
            if chance(4, &random) {
                packet.networkOptions = random.bytes(4 * Int.random(in: 1...10, using: &random))
            }
        } else {
            packet.source = IPAddress(high: random.next(), low: random.next())
            packet.destination = IPAddress(high: random.next(), low: random.next())
            if chance(3, &random) { addExtensionHeaders(to: &packet, &random) }
        }
        packet.sequenceNumber = random.next32()
        if chance(3, &random) { packet.tcpOptions = random.bytes(4 * Int.random(in: 0...10, using: &random)) }
        if chance(10, &random) { packet.payload = random.bytes(Int.random(in: 0...64, using: &random)) }
        if chance(8, &random) { packet.flags = TCPFlags(rawValue: UInt8.random(in: 0...255, using: &random)) }
        packet.acknowledgmentNumber = code(packet, &random)
        var bytes = packet.bytes
        if bytes[0] >> 4 == 6, chance(40, &random) {
            let offset = Bool.random(using: &random) ? 8 : 24
            bytes.replaceSubrange(offset..<offset + 12, with: Self.mappedPrefix)
        }
        // Less than an IP header the kernel does not let a program run on.
        if chance(12, &random) { bytes.removeLast(Int.random(in: 0...bytes.count - 40, using: &random)) }
        if chance(20, &random) { bytes += random.bytes(Int.random(in: 1...20, using: &random)) }
        if chance(8, &random) {
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes = bytes.flipping(bit: Int.random(in: 0..<bytes.count * 8, using: &random))
            }
        }
        return bytes
    }

    private func code(_ packet: TestPacket, _ random: inout SeededGenerator) -> UInt32 {
        if chance(16, &random) { return [0, 1, 0x0100_0000, .max].randomElement(using: &random) ?? 0 }
        if chance(4, &random) { return random.next32() }
        let stranger = FilterKey(FilterKeys.all[16])
        let key = chance(16, &random) ? stranger : keys.randomElement(using: &random) ?? stranger
        var handshake = Handshake(clientAddress: packet.source, clientISN: packet.sequenceNumber)
        // Of a key that is good everywhere, mostly; of others, now and then.
        if chance(key.isRoaming ? 2 : 16, &random) { handshake = .roaming(clientISN: packet.sequenceNumber) }
        let delta = Int64.random(in: -2...2, using: &random)
        let near = usesTime || chance(4, &random)
        let number = near ? UInt64(bitPattern: Int64(slot.number) + delta) : 0
        let code = SYNCode(keys: key.keys, handshake: handshake, slot: TimeSlot(number: number))
        let right = Bool.random(using: &random) ? code.full : code.windowed
        if chance(16, &random) { return right ^ 1 << UInt32.random(in: 0..<32, using: &random) }
        return chance(32, &random) ? right.byteSwapped : right
    }

    private func addExtensionHeaders(to packet: inout TestPacket, _ random: inout SeededGenerator) {
        let known: [UInt8] = [0, 43, 44, 51, 60, 135, 139, 140]
        // One more than is allowed, now and then.
        let count = chance(4, &random) ? Int.random(in: 7...9, using: &random) : Int.random(in: 1...3, using: &random)
        var types = (0..<count).map { _ in known.randomElement(using: &random) ?? 0 }
        if chance(20, &random) { types[count - 1] = UInt8.random(in: 0...255, using: &random) }
        packet.firstNextHeader = types[0]
        for (index, type) in types.enumerated() {
            let next = index + 1 < count ? types[index + 1] : 6
            let length = chance(3, &random) ? Int.random(in: 0...6, using: &random) : 0
            switch type {
            case 44:
                let field = chance(5, &random) ? UInt16.random(in: 0...0xffff, using: &random) : 0
                packet.networkOptions += [next, UInt8.random(in: 0...255, using: &random)]
                packet.networkOptions += field.networkBytes + random.bytes(4)
            case 43:
                let segmentsLeft: UInt8 = chance(6, &random) ? 1 : 0
                packet.networkOptions += [next, UInt8(length), 0, segmentsLeft] + random.bytes(4 + length * 8)
            case 51:
                // The whole must stay a multiple of 4 bytes for the checksum, as all lengths here are.
                packet.networkOptions += [next, UInt8(length)] + random.bytes(6 + length * 4)
            default:
                packet.networkOptions += [next, UInt8(length)] + random.bytes(6 + length * 8)
            }
        }
    }

    /// True once in so many times.
    private func chance(_ times: Int, _ random: inout SeededGenerator) -> Bool {
        Int.random(in: 0..<times, using: &random) == 0
    }
}

extension SeededGenerator {
    fileprivate mutating func next32() -> UInt32 { UInt32(truncatingIfNeeded: next()) }
}
