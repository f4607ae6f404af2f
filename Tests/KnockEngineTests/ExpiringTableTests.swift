// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import KnockEngine

/// A key of which many have the same hash, so that buckets have chains.
private struct CollidingKey: Hashable {
    let number: Int

    func hash(into hasher: inout Hasher) {
        hasher.combine(number % 3)
    }
}

/// What `ExpiringTable` is to be, slow and obvious: a list from the oldest entry to the newest.
private struct TableModel {
    var entries: [(key: CollidingKey, value: Int, deadline: UInt64)] = []
    let capacity: Int
    let lifetime: UInt64

    func value(of key: CollidingKey, at uptime: UInt64) -> Int? {
        entries.first { $0.key == key && $0.deadline > uptime }?.value
    }

    mutating func insert(_ key: CollidingKey, _ value: Int, at uptime: UInt64) {
        if let index = entries.firstIndex(where: { $0.key == key }) {
            entries.remove(at: index)
        } else {
            removeExpired(at: uptime)
            if entries.count == capacity { entries.removeFirst() }
        }
        entries.append((key, value, uptime + lifetime))
    }

    mutating func renew(_ key: CollidingKey, at uptime: UInt64) {
        guard let index = entries.firstIndex(where: { $0.key == key }) else { return }
        let entry = entries.remove(at: index)
        entries.append((entry.key, entry.value, uptime + lifetime))
    }

    mutating func removeExpired(at uptime: UInt64) {
        entries.removeAll { $0.deadline <= uptime }
    }
}

@Suite struct ExpiringTableTests {
    @Test("It does what a list would do", arguments: [1, 2, 3, 7, 8, 9, 64])
    func againstTheModel(_ capacity: Int) {
        var random = SeededGenerator("table of \(capacity) against a list")
        var table = ExpiringTable<CollidingKey, Int>(capacity: capacity, lifetime: 100)
        var model = TableModel(capacity: capacity, lifetime: 100)
        var uptime: UInt64 = 1000
        for step in 0..<4000 {
            let key = CollidingKey(number: .random(in: 0..<capacity * 2, using: &random))
            uptime += .random(in: 0..<20, using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<10:
                table.insert(key, step, at: uptime)
                model.insert(key, step, at: uptime)
            case 10..<13:
                if let position = table.position(of: key, at: uptime) {
                    table.renew(position, at: uptime)
                    model.renew(key, at: uptime)
                }
            case 13..<16:
                if let position = table.position(of: key, at: uptime) {
                    table.remove(at: position)
                    model.entries.removeAll { $0.key == key }
                }
            case 16, 17:
                if let position = table.position(of: key, at: uptime) {
                    table[position] += 1
                    let index = model.entries.firstIndex { $0.key == key }
                    if let index { model.entries[index].value += 1 }
                }
            case 18:
                var forgotten: [Int] = []
                table.removeExpired(at: uptime) { _, value in forgotten.append(value) }
                #expect(forgotten == model.entries.filter { $0.deadline <= uptime }.map(\.value))
                model.removeExpired(at: uptime)
            default:
                // A long pause, after which all have expired.
                uptime += 200
            }
            #expect(table.count == model.entries.count, "step \(step)")
            for number in 0..<capacity * 2 {
                let key = CollidingKey(number: number)
                let value = table.position(of: key, at: uptime).map { table[$0] }
                guard value != model.value(of: key, at: uptime) else { continue }
                Issue.record("step \(step), key \(number): \(String(describing: value))")
                return
            }
        }
    }

    @Test func entriesExpireAtTheirDeadline() {
        var table = ExpiringTable<Int, String>(capacity: 4, lifetime: 100)
        table.insert(1, "one", at: 50)
        #expect(table.position(of: 1, at: 149) != nil)
        #expect(table.position(of: 1, at: 150) == nil)
        #expect(table.position(of: 2, at: 50) == nil)
        #expect(table.count == 1)
        table.removeExpired(at: 149) { _, _ in Issue.record("too early") }
        #expect(table.count == 1)
        table.removeExpired(at: 150) { _, _ in }
        #expect(table.count == 0)
    }

    @Test func theOldestGivesWay() {
        var table = ExpiringTable<Int, Int>(capacity: 3, lifetime: 1000)
        for key in 1...3 { table.insert(key, key, at: 0) }
        // Putting one in again makes it the newest.
        table.insert(1, 10, at: 1)
        table.insert(4, 4, at: 2)
        #expect((1...4).map { table.position(of: $0, at: 2) != nil } == [true, false, true, true])
        #expect(table.position(of: 1, at: 2).map { table[$0] } == 10)
        #expect(table.count == 3)
    }

    @Test func expiredEntriesGiveWayFirst() {
        var table = ExpiringTable<Int, Int>(capacity: 2, lifetime: 10)
        table.insert(1, 1, at: 0)
        table.insert(2, 2, at: 9)
        table.insert(3, 3, at: 10)
        #expect(table.count == 2)
        #expect(table.position(of: 2, at: 10) != nil)
        #expect(table.position(of: 3, at: 10) != nil)
    }

    @Test func slotsAreUsedAgain() {
        var table = ExpiringTable<Int, Int>(capacity: 3, lifetime: 10)
        for round in 0..<1000 {
            for key in 0..<3 { table.insert(round * 3 + key, key, at: UInt64(round)) }
            for key in 0..<3 {
                if let position = table.position(of: round * 3 + key, at: UInt64(round)) { table.remove(at: position) }
            }
            #expect(table.count == 0)
        }
    }

    @Test("A lifetime without end does not overflow")
    func endlessLifetime() {
        var table = ExpiringTable<Int, Int>(capacity: 2, lifetime: .max / 2)
        table.insert(1, 1, at: UInt64(Int64.max) / 2)
        #expect(table.position(of: 1, at: UInt64(Int64.max)) != nil)
    }
}
