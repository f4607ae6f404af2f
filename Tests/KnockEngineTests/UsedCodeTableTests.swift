// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import KnockEngine

@Suite("The table of used codes") struct UsedCodeTableTests {
    /// A number of a few, or of many.
    private static func code(_ number: UInt32) -> UsedCode {
        let address = number % 3 == 0 ? IPAddress(ipv4: number) : IPAddress(high: UInt64(number) << 32, low: ~0)
        return UsedCode(
            handshake: Handshake(clientAddress: address, clientISN: number &* 7), key: KeyID(number % 5))
    }

    /// All that a table does, compared with a dictionary.
    private final class Both {
        var table: UsedCodeTable
        var plain: [UsedCode: UInt64] = [:]
        var forgotten: [KeyID: Int] = [:]
        var uptime: UInt64 = 1_000_000

        var hasRoom: Bool { table.hasRoom }

        var count: Int { table.count }

        var memory: Int { table.memory }

        var touched: Int { table.touchedMemory }

        init(capacity: Int) { table = UsedCodeTable(capacity: capacity) }

        var end: UInt64 { uptime + 180_000 }

        func use(_ code: UsedCode) {
            let place = table.find(code)
            let isLive = place.map { table.isLive($0, at: uptime) } ?? false
            #expect(isLive == plain[code].map { $0 > uptime } ?? false)
            if let place {
                table.renew(place, until: end)
            } else {
                guard table.hasRoom else { return }
                table.insert(code, until: end)
                if plain[code] != nil { forgotten[code.key, default: 0] -= 1 }
            }
            plain[code] = (end + 999) / 1000 * 1000
        }

        func removeExpired(atMost limit: Int) -> Bool {
            var removed: [KeyID: Int] = [:]
            let isDone = table.removeExpired(at: uptime, atMost: limit) { removed[$0, default: 0] += 1 }
            for (key, count) in removed { forgotten[key, default: 0] += count }
            if isDone {
                var left: [UsedCode: UInt64] = [:]
                for (code, end) in plain where end > uptime { left[code] = end }
                for code in plain.keys where left[code] == nil { forgotten[code.key, default: 0] -= 1 }
                plain = left
                #expect(count == plain.count)
                #expect(forgotten.values.allSatisfy { $0 == 0 })
            }
            return isDone
        }

        func keepRoom() {
            while !removeExpired(atMost: 100) {}
            while !table.joinBuckets(atMost: 10) {}
            while table.wantsChunk { table.add(UsedCodeTable.Chunk(places: table.chunkPlaces)) }
            while table.takeSurplus() != nil {}
            while table.hasUsedEmptyChunk {
                var chunk = UsedCodeTable.Chunk(places: table.chunkPlaces)
                table.exchange(&chunk)
            }
            if let capacity = table.wantedIndexCapacity {
                var memory: [UInt32] = []
                memory.reserveCapacity(capacity)
                table.exchangeIndex(&memory)
            }
        }

        func check() {
            var found: [UsedCode: UInt64] = [:]
            var start = 0
            while table.forEach(in: start..<start + 700, at: uptime, { found[$0] = $1 }) { start += 700 }
            _ = table.forEach(in: start..<start + 700, at: uptime) { found[$0] = $1 }
            var expected: [UsedCode: UInt64] = [:]
            for (code, end) in plain where end > uptime { expected[code] = end }
            #expect(found == expected)
            for code in expected.keys {
                let isLive = table.find(code).map { table.isLive($0, at: uptime) }
                #expect(isLive == true)
            }
        }
    }

    @Test("It does what a dictionary with deadlines does", arguments: [1, 2, 7, 64, 1000, 5000])
    func comparison(_ capacity: Int) {
        var random = SeededGenerator(seed: UInt64(capacity))
        let both = Both(capacity: capacity)
        for step in 0..<20_000 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: both.uptime += UInt64.random(in: 0...20_000, using: &random)
            case 1: _ = both.removeExpired(atMost: Int.random(in: 0...20, using: &random))
            case 2 where step % 40 == 0: both.keepRoom()
            case 3 where step % 100 == 0: both.uptime += UInt64.random(in: 0...900_000, using: &random)
            default: both.use(Self.code(UInt32.random(in: 0..<UInt32(capacity) * 2, using: &random)))
            }
            if step % 1000 == 0 { both.check() }
        }
        both.uptime += 200_000
        both.keepRoom()
        #expect(both.count == 0)
        both.check()
    }

    @Test("It grows by chunks while others bring them, and gives all back but the spare ones")
    func growth() {
        let both = Both(capacity: 600_000)
        let start = (both.memory, both.touched)
        var most = 0
        for round in 0..<60 as Range<UInt32> {
            for number in 0..<10_000 as Range<UInt32> { both.use(Self.code(round * 10_000 + number)) }
            both.uptime += 1000
            while both.table.wantsChunk { both.table.add(UsedCodeTable.Chunk(places: both.table.chunkPlaces)) }
            most = max(most, both.memory)
        }
        #expect(both.count == 600_000)
        #expect(!both.hasRoom)
        #expect(most <= 600_000 * 48 + 65_536 * 36)
        both.check()
        both.uptime += 200_000
        both.keepRoom()
        #expect(both.count == 0)
        #expect(both.memory <= start.0 + 65_536 * 36)
        #expect(both.touched == start.1)
        both.use(Self.code(1))
        both.check()
    }

    @Test("Where nobody brings chunks, it has the room that it began with") func nobodyThere() {
        let both = Both(capacity: 1_000_000)
        for number in 0..<140_000 as Range<UInt32> { both.use(Self.code(number)) }
        #expect(both.count == 131_072)
        #expect(!both.hasRoom)
        both.check()
    }
}
