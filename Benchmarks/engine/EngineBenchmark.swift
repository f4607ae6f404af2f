// SPDX-License-Identifier: GPL-2.0-or-later
import CAllocationCounter
import CSodium
import KeyFiles
import KnockEngine
import KnockProtocol
import TestSupport
import Wire

/// Nanoseconds per decision of the pure engines, for each kind of packet; from bytes to verdict, with all checks and,
/// where the verdict asks for it, the changed fields and checksums.
///
/// Prints one line of JSON for each kind. The kinds take turns, a thousand packets each, so that what else the machine
/// does meets all of them; beside them runs what no engine can do without: three SipHashes for the three time slots.
/// Several numbers of keys take turns too, pass by pass: each kind is compared with the pass for the first number right
/// before it, and what is shown is the median of those ratios.
///
/// A flood's packets come by the thousand. So before SYNs with wrong codes, or segments of no handshake, are timed,
/// others of their kind are judged uncounted: what the engine looks into is in the caches as it would be then, and the
/// index of hints, made once in a time slot, is there. What making it costs is a kind of its own, "first SYN of a time
/// slot". Handshakes find the caches as what went before has left them.
///
///     engine-benchmark [--passes N] [--keys N,N...]
@main
enum EngineBenchmark {
    private static let packetsPerPass = 1000
    /// A wrong third ACK is costly on purpose, and does not happen in thousands.
    private static let lockoutsPerPass = 20
    /// So many meet nearly every place of an index of a thousand keys.
    private static let warmUpPackets = 8000

    static func main() {
        var passes = 200
        var keyCounts = [1]
        var arguments = CommandLine.arguments.dropFirst().makeIterator()
        while let option = arguments.next() {
            let values = arguments.next().map { $0.split(separator: ",").map { Int($0) ?? 0 } } ?? []
            guard let first = values.first, values.allSatisfy({ $0 > 0 }) else {
                fatalError("\(option) wants a number")
            }
            switch option {
            case "--passes" where values.count == 1: passes = first
            case "--keys": keyCounts = values
            default: fatalError("no such option: \(option)")
            }
        }

        let benches = keyCounts.map { Bench(keyCount: $0) }
        let warmUp = max(1, passes / 10)
        for pass in 0..<passes + warmUp {
            for bench in benches {
                bench.stopwatch.counts = pass >= warmUp
                bench.pass()
            }
        }
        for bench in benches {
            for (kind, first) in zip(bench.stopwatch.kinds, benches[0].stopwatch.kinds) {
                print(kind.json(keys: bench.keyCount, comparedWith: first))
            }
        }
        print("{\"allocationsAreCounted\": \(allocation_counter_works())}")
    }

    /// The engines for one number of keys, and their packets.
    private final class Bench {
        let keyCount: Int
        var stopwatch = Stopwatch()
        private var server: ServerEngine
        private var timelessServer: ServerEngine
        private var lockingServer: ServerEngine
        private var client: ClientEngine
        /// Everything of one pass has expired when the next begins.
        private var now = Instant(unixSeconds: 1_800_000_000, uptime: 1_000_000)

        private var handshakes = Handshakes(count: packetsPerPass, ipv6: false, seed: 1)
        private var handshakes6 = Handshakes(count: packetsPerPass, ipv6: true, seed: 2)
        private var resets = Handshakes(count: packetsPerPass, ipv6: false, seed: 3)
        private var lockouts = Handshakes(count: lockoutsPerPass, ipv6: false, seed: 4)
        private var wrong = Handshakes.wrongSYNs(count: packetsPerPass, ipv6: false, seed: 5)
        private var wrong6 = Handshakes.wrongSYNs(count: packetsPerPass, ipv6: true, seed: 6)
        private var first = Handshakes.wrongSYNs(count: 1, ipv6: false, seed: 10)
        private var flood = Handshakes.wrongSYNs(count: warmUpPackets, ipv6: false, seed: 11)
        private var flood6 = Handshakes.wrongSYNs(count: warmUpPackets, ipv6: true, seed: 12)
        private var floodOfSegments = Handshakes(count: warmUpPackets, ipv6: true, seed: 13).data
        private var otherPort = Handshakes.wrongSYNs(count: packetsPerPass, ipv6: false, seed: 7, port: 80)
        private var plainSYN = Handshakes(count: packetsPerPass, ipv6: false, seed: 8)
        private var strangers = Handshakes(count: packetsPerPass, ipv6: false, seed: 9)
        private var impossible: Packets
        private var message = [UInt8](repeating: 0x3c, count: 28)
        private var hashKey = [UInt8](repeating: 0x5a, count: 16)

        init(keyCount: Int) {
            self.keyCount = keyCount
            let guests = Self.guests(keyCount)
            var configuration = ServerEngine.Configuration.usual
            configuration.targetPorts = [Handshakes.port]
            server = ServerEngine(guests: guests, configuration: configuration)
            lockingServer = ServerEngine(guests: guests, configuration: configuration)
            configuration.usesTime = false
            timelessServer = ServerEngine(guests: guests, configuration: configuration)
            let everywhere = [
                IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
            ]
            let target = Target(
                id: KeyID(0), keys: TestKeys.published, prefixes: everywhere.compactMap(\.self),
                ports: [Handshakes.port])
            client = ClientEngine(targets: [target])
            impossible = Packets(count: packetsPerPass) { index in
                var packet = TestPacket()
                packet.sourcePort = UInt16(1024 + index)
                packet.flags = [.syn, .fin]
                return packet
            }
        }

        /// So many guests; the client has the key of the last one.
        private static func guests(_ count: Int) -> [Guest] {
            (1...count).map { number in
                var keys = TestKeys.published
                if number < count {
                    let material = (0..<KeyFile.length).map { UInt8(truncatingIfNeeded: $0 &* number &+ number >> 8) }
                    guard let made = try? KeySchedule(material: material.span) else { fatalError("no memory for keys") }
                    keys = made
                }
                return Guest(id: KeyID(UInt32(number)), keys: keys, ports: [Handshakes.port])
            }
        }

        func pass() {
            now.unixSeconds += 600
            now.uptime += 600_000
            baseline()
            drops()
            Self.handshake("IPv4", &handshakes, &server, &client, &stopwatch, now)
            Self.handshake("IPv6", &handshakes6, &server, &client, &stopwatch, now)
            endings()
            lockout()
        }

        /// The floor: the same hash of as many bytes, once for each time slot, by the same library.
        private func baseline() {
            let count = packetsPerPass
            var message = message
            message[1] &+= 1
            stopwatch.time("three SipHashes (libsodium)", count: count) { [hashKey] in
                var output: UInt64 = 0
                for index in 0..<count {
                    message[0] = UInt8(truncatingIfNeeded: index)
                    for slot in 0..<3 as Range<UInt8> {
                        message[27] = slot
                        withUnsafeMutableBytes(of: &output) { output in
                            message.withUnsafeBufferPointer { message in
                                hashKey.withUnsafeBufferPointer { key in
                                    guard let to = output.baseAddress, let key = key.baseAddress else { return }
                                    _ = crypto_shorthash(
                                        to.assumingMemoryBound(to: UInt8.self), message.baseAddress,
                                        UInt64(message.count), key)
                                }
                            }
                        }
                    }
                }
                return 0
            }
            self.message = message
        }

        private func drops() {
            stopwatch.time(
                "first SYN of a time slot", &server, &first, .inbound, at: now, expecting: .synWithWrongCode)
            Self.warmUp(&server, &flood, now)
            stopwatch.time(
                "SYN with a wrong code, IPv4", &server, &wrong, .inbound, at: now, expecting: .synWithWrongCode)
            Self.warmUp(&server, &flood6, now)
            stopwatch.time(
                "SYN with a wrong code, IPv6", &server, &wrong6, .inbound, at: now, expecting: .synWithWrongCode)
            Self.warmUp(&timelessServer, &flood, now)
            stopwatch.time(
                "SYN with a wrong code, --no-time", &timelessServer, &wrong, .inbound, at: now,
                expecting: .synWithWrongCode)
            stopwatch.time(
                "SYN without a code", &server, &plainSYN.syn, .inbound, at: now, expecting: .synWithoutCode)
            Self.warmUp(&server, &floodOfSegments, now)
            stopwatch.time(
                "segment of no handshake", &server, &strangers.data, .inbound, at: now,
                expecting: .segmentWithoutHandshake)
            stopwatch.time(
                "SYN to another port", &server, &otherPort, .inbound, at: now, expecting: .otherPort)
            stopwatch.time(
                "SYN and FIN", &server, &impossible, .inbound, at: now, expecting: .impossibleFlags)
        }

        /// Has packets judged that do not count.
        private static func warmUp(_ server: inout ServerEngine, _ packets: inout Packets, _ now: Instant) {
            packets.forEach { _ = server.process(&$0, .inbound, at: now) }
            while server.nextEvent() != nil {}
        }

        /// Handshakes from the first packet to the first data, through both engines.
        private static func handshake(
            _ family: String, _ packets: inout Handshakes, _ server: inout ServerEngine, _ client: inout ClientEngine,
            _ stopwatch: inout Stopwatch, _ now: Instant
        ) {
            packets.restore()
            stopwatch.time(
                "client: SYN gets its code, \(family)", &client, &packets.syn, .outbound, at: now,
                expecting: .synCoded)
            packets.retransmission = packets.syn
            // Else the engine's first touch would make the copy, and it would be counted as the engine's.
            packets.retransmission.forEach { $0[0] = $0[0] }
            stopwatch.time(
                "SYN with a right code, \(family)", &server, &packets.syn, .inbound, at: now,
                expecting: .synAccepted)
            stopwatch.time(
                "SYN again, \(family)", &server, &packets.retransmission, .inbound, at: now,
                expecting: .synRetransmitted)
            stopwatch.time(
                "SYN/ACK is masked, \(family)", &server, &packets.synAck, .outbound, at: now,
                expecting: .synAckMasked)
            stopwatch.time(
                "client: SYN/ACK is proven, \(family)", &client, &packets.synAck, .inbound, at: now,
                expecting: .synAckProven)
            stopwatch.time(
                "third ACK, \(family)", &server, &packets.ack, .inbound, at: now,
                expecting: .acknowledgmentVerified)
            stopwatch.time(
                "segment behind the third ACK, \(family)", &server, &packets.data, .inbound, at: now,
                expecting: .segmentOfVerified)
            stopwatch.time(
                "replayed SYN, \(family)", &server, &packets.retransmission, .inbound, at: now,
                expecting: .synReplayed)
        }

        private func endings() {
            resets.restore()
            Self.open(&resets, &server, &client, now)
            stopwatch.time(
                "RST of a handshake", &server, &resets.reset, .inbound, at: now, expecting: .resetOfHandshake)
        }

        private func lockout() {
            lockouts.restore()
            Self.open(&lockouts, &lockingServer, &client, now)
            stopwatch.time(
                "wrong third ACK", &lockingServer, &lockouts.wrongAck, .inbound, at: now,
                expecting: .wrongAcknowledgment)
            stopwatch.time(
                "SYN of one who is locked out", &lockingServer, &lockouts.retransmission, .inbound, at: now,
                expecting: .lockedOut)
            stopwatch.time(
                "SYN with a wrong code while others are locked out", &lockingServer, &wrong, .inbound, at: now,
                expecting: .synWithWrongCode)
        }

        /// Brings handshakes, which are not timed, as far as the SYN/ACK.
        private static func open(
            _ packets: inout Handshakes, _ server: inout ServerEngine, _ client: inout ClientEngine, _ now: Instant
        ) {
            packets.syn.forEach { _ = client.process(&$0, .outbound, at: now) }
            packets.retransmission = packets.syn
            packets.syn.forEach { _ = server.process(&$0, .inbound, at: now) }
            packets.synAck.forEach { _ = server.process(&$0, .outbound, at: now) }
            while client.nextEvent() != nil {}
            while server.nextEvent() != nil {}
        }
    }
}
