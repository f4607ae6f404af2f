// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing

@testable import KnockEngine

@Suite("A table whose places guests share") struct GuestTableTests {
    private struct Model {
        var entries: [(key: Int, guest: KeyID?, value: Int, deadline: UInt64)] = []
        let capacity: Int

        mutating func insert(_ key: Int, _ value: Int, of guest: KeyID?, at uptime: UInt64) {
            entries.removeAll { $0.deadline <= uptime || $0.key == key }
            if entries.count == capacity {
                let numbers = entries.map { $0.guest.map { Int($0.number) } ?? -1 }
                let counts = Dictionary(grouping: numbers) { $0 }.mapValues(\.count)
                let greatest = counts.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key
                if let index = numbers.firstIndex(where: { $0 == greatest }) { entries.remove(at: index) }
            }
            entries.append((key, guest, value, uptime + 100))
        }
    }

    @Test("It does what a list would do", arguments: [1, 2, 3, 7, 8, 9, 64], [1, 2, 5])
    func againstTheModel(_ capacity: Int, _ guests: UInt32) {
        var random = SeededGenerator("guests' table of \(capacity), \(guests)")
        var table = GuestTable<Int, Int>(capacity: capacity, lifetime: 100)
        var model = Model(capacity: capacity)
        var uptime: UInt64 = 1000
        for step in 0..<4000 {
            // Whose an entry is does not change; the first of them is nobody's.
            let key = Int.random(in: 0..<capacity * 2, using: &random)
            let number = UInt32(key) % guests
            let guest = number == 0 ? nil : KeyID(number)
            uptime += .random(in: 0..<20, using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<12:
                table.insert(key, step, of: guest, at: uptime)
                model.insert(key, step, of: guest, at: uptime)
            case 12..<15:
                if let position = table.position(of: key, at: uptime) {
                    table.renew(position, at: uptime)
                    let index = model.entries.firstIndex { $0.key == key }
                    if let index { model.entries.append(model.entries.remove(at: index)) }
                    model.entries[model.entries.count - 1].deadline = uptime + 100
                }
            case 15..<18:
                if let position = table.position(of: key, at: uptime) {
                    table.remove(at: position)
                    model.entries.removeAll { $0.key == key }
                }
            default:
                break
            }
            let expected = model.entries.filter { $0.deadline > uptime }
            for probe in 0..<capacity * 2 {
                let found = table.position(of: probe, at: uptime).map { table[$0] }
                #expect(found == expected.first { $0.key == probe }?.value)
            }
            var listed: [Int] = []
            table.forEach(at: uptime) { key, _ in listed.append(key) }
            #expect(listed == expected.map(\.key))
        }
    }

    @Test("Who has an equal part or less loses nothing to who has more", arguments: 2...10 as ClosedRange<UInt32>)
    func fairness(_ guests: UInt32) {
        var table = GuestTable<Int, Int>(capacity: 1000, lifetime: 100)
        table.reserve(guests: Int(guests))
        let part = 1000 / Int(guests)
        for guest in 1..<guests {
            for key in 0..<part { table.insert(Int(guest) * 10_000 + key, 0, of: KeyID(guest), at: 1) }
        }
        for key in 0..<5000 { table.insert(key, 0, of: KeyID(0), at: 2) }
        for guest in 1..<guests {
            let left = (0..<part).count { table.position(of: Int(guest) * 10_000 + $0, at: 2) != nil }
            #expect(left == part)
        }
        #expect(table.count == 1000)
    }
}
