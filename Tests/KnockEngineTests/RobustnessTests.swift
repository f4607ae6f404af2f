// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Whatever the bytes, there is a verdict") struct RobustnessTests {
    /// Random bytes, most of them with headers that lead on to the interesting places.
    private static func buffer(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes = random.bytes(Int.random(in: 0..<100, using: &random))
        guard bytes.count >= 44, random.next() % 8 != 0 else { return bytes }
        let isIPv4 = Bool.random(using: &random)
        bytes[0] = isIPv4 ? 0x45 : 0x60
        if isIPv4 {
            bytes.replaceSubrange(6..<8, with: [0x40, 0])
            bytes[9] = 6
        } else {
            bytes[6] = [6, 0, 43, 44, 51, 60][Int.random(in: 0..<6, using: &random)]
        }
        let transport = isIPv4 ? 20 : 40
        let length = UInt16(bytes.count - (isIPv4 ? 0 : 40))
        bytes.replaceSubrange(isIPv4 ? 2..<4 : 4..<6, with: length.networkBytes)
        if bytes.count >= transport + 20 {
            bytes.replaceSubrange(transport..<transport + 4, with: [0, 22, 0, 22])
            bytes[transport + 12] = 0x50
        }
        return bytes
    }

    @Test("100,000 random buffers, server")
    func server() {
        var random = SeededGenerator("random buffers, server")
        let bench = ServerBench()
        var segments = 0
        for _ in 0..<100_000 {
            var bytes = Self.buffer(&random)
            var span = bytes.mutableSpan
            let direction: Direction = Bool.random(using: &random) ? .inbound : .outbound
            bench.now.uptime += 1
            let verdict = bench.engine.process(&span, direction, at: bench.now)
            // A random code is right once in 2^32 / 6 times; should it ever happen, the seed is printed.
            if verdict.action != .drop { Issue.record("\(verdict)") }
            if ![.truncated, .malformed, .fragment, .notTCP].contains(verdict.reason) { segments += 1 }
        }
        #expect(segments > 10_000)
        #expect(bench.engine.handshakeCount == 0)
    }

    @Test("100,000 random buffers, client")
    func client() {
        var random = SeededGenerator("random buffers, client")
        let bench = ClientBench()
        var coded: UInt64 = 0
        for _ in 0..<100_000 {
            var bytes = Self.buffer(&random)
            let before = bytes
            var span = bytes.mutableSpan
            let direction: Direction = Bool.random(using: &random) ? .inbound : .outbound
            let verdict = bench.engine.process(&span, direction, at: bench.now)
            if verdict.reason == .synCoded { coded += 1 }
            // Without listed servers nothing is dropped, and nothing else than a SYN or a proven SYN/ACK changed.
            if verdict.action == .drop || (bytes != before && ![.synCoded, .synAckProven].contains(verdict.reason)) {
                Issue.record("\(verdict): \(before.hex)")
            }
        }
        #expect(bench.engine.counters[.synCoded] == coded)
        #expect(bench.engine.counters[.otherSegment] > 0)
    }
}
