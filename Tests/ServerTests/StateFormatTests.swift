// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import Linux
import TestSupport
import Testing
import Wire

@testable import KnockEngine
@testable import Program
@testable import Server

@Suite("State file: its bytes") struct StateFormatTests {
    static let head = StateFormat.Head(
        boot: Array(0..<16), salt: Array(16..<32), unixSeconds: 1_800_000_000, uptime: 5_000_000)
    static let flow = Flow(
        clientAddress: IPAddress(192, 0, 2, 1), clientPort: 40_000, serverAddress: IPAddress(high: 1, low: 2),
        serverPort: 22)
    static let party = StateRecord.party(
        3, name: "älice", fingerprint: "0123-4567-89ab-cdef-0123-4567-89ab-cdef")
    static let handshake = Handshake(clientAddress: IPAddress(192, 0, 2, 1), clientISN: 0xdead_beef)
    static let code = StateRecord.Code(handshake: handshake, party: 3, deadline: .max)
    static let records: [StateRecord] = [
        party, .usedCodes([code]), .usedCodes(Array(repeating: code, count: 3)),
        .slots(SlotSpan(TimeSlot(number: 5), TimeSlot(number: 5), retires: 17)),
        .slots(SlotSpan(TimeSlot(number: 0), TimeSlot(number: .max), retires: .max)),
        .usedCode(code, TimeSlot(number: 30_000_000)), .retired(TimeSlot(number: .max)),
        .lockout(IPAddress(high: 7, low: 8), party: nil, Lockout(since: 0, until: .max, reason: .wrongAcknowledgment)),
        .lockout(IPAddress(ipv4: 9), party: 7, Lockout(since: 5, until: 6, reason: .maskedAcknowledgment)),
        .lockout(IPAddress(ipv4: 0), party: 0, Lockout(since: .max, until: 0, reason: .tooManyWrongCodes)),
        .opened(flow, party: 3, since: Instant(unixSeconds: -1, uptime: 17)),
        .opened(flow, party: nil, since: Instant(unixSeconds: .max, uptime: .max)), .ended(flow),
    ]

    /// A file with records before its completion and after it.
    static func file(_ before: [StateRecord], _ after: [StateRecord] = []) -> [UInt8] {
        var bytes: [UInt8] = []
        var format = StateFormat(head, to: &bytes)
        for record in before + [.complete] + after { format.write(record, to: &bytes) }
        return bytes
    }

    /// What is in a file.
    struct Content: Equatable {
        let head: StateFormat.Head
        var records: [StateRecord] = []
        var torn = 0
    }

    /// Reads a file, of which a few bytes come at a time.
    static func parse(_ bytes: [UInt8], atATime portion: Int = 1000) throws(StateFormat.Damage) -> Content {
        var position = 0
        var input = StateInput { buffer in
            let end = min(position + portion, bytes.count)
            buffer += bytes[position..<end]
            position = end
        }
        return try parse(&input)
    }

    static func parse(_ input: inout StateInput) throws(StateFormat.Damage) -> Content {
        var records: [StateRecord] = []
        let (head, torn) = try StateFormat.read(&input) { records.append($1) }
        return Content(head: head, records: records, torn: torn)
    }

    @Test(arguments: [1, 7, 100, 100_000]) func roundTrip(_ portion: Int) throws {
        let bytes = Self.file(Self.records, Self.records.reversed())
        let content = try Self.parse(bytes, atATime: portion)
        #expect(content.head == Self.head)
        #expect(content.records == Self.records + Self.records.reversed())
        #expect(content.torn == 0)
        #expect(try Self.parse(Self.file([])).records.isEmpty)
    }

    @Test("A record is as long as its first byte says", arguments: records + [.complete])
    func lengths(_ record: StateRecord) throws {
        var bytes: [UInt8] = []
        record.write(to: &bytes)
        #expect(StateRecord.length(try #require(bytes.first), bytes.dropFirst().first) == bytes.count)
        #expect(StateRecord(bytes[...]) == record)
        #expect(StateRecord((bytes + [0])[...]) == nil)
        if !bytes.isEmpty { #expect(StateRecord(bytes.dropLast()) == nil) }
    }

    @Test("As many codes as share a record, and no more") func manyCodes() throws {
        let codes = (0..<UInt32(StateRecord.mostCodes)).map { number in
            StateRecord.Code(
                handshake: Handshake(clientAddress: IPAddress(ipv4: number), clientISN: ~number), party: number,
                deadline: UInt64(number) << 32)
        }
        let records = [StateRecord.usedCodes(codes), .ended(Self.flow), .usedCodes(Array(codes.prefix(127)))]
        #expect(try Self.parse(Self.file(records)).records == records)
        var bytes: [UInt8] = []
        records[0].write(to: &bytes)
        for count in [0, 129, 255] as [UInt8] {
            bytes[1] = count
            #expect(StateRecord.length(bytes[0], count) == nil)
            #expect(StateRecord(bytes[...]) == nil)
        }
        var backwards: [UInt8] = []
        StateRecord.slots(SlotSpan(TimeSlot(number: 1), TimeSlot(number: 1), retires: 0)).write(to: &backwards)
        backwards[8] = 2
        #expect(StateRecord(backwards[...]) == nil, "the last slot is before the first")
    }

    @Test("What cannot be read is damage of its own kind") func unreadable() {
        let bytes = Self.file(Self.records)
        var isFirst = true
        var input = StateInput { buffer throws(SystemError) in
            guard isFirst else { throw SystemError("read", 5) }
            isFirst = false
            buffer += bytes.prefix(200)
        }
        #expect(throws: StateFormat.Damage.unreadable(SystemError("read", 5))) { try Self.parse(&input) }
    }

    @Test("Names beyond what settings allow are cut") func longNames() throws {
        let name = String(repeating: "x", count: 300)
        let content = try Self.parse(Self.file([.party(1, name: name, fingerprint: name)]))
        let expected = StateRecord.party(1, name: String(name.prefix(64)), fingerprint: String(name.prefix(39)))
        #expect(content.records == [expected])
    }

    @Test("Every truncation: nothing is used before the file is complete, and only whole records after it")
    func truncations() throws {
        let complete = Self.file(Self.records).count
        let bytes = Self.file(Self.records, Self.records)
        for length in 0..<bytes.count {
            let cut = Array(bytes.prefix(length))
            guard length >= complete else {
                #expect(throws: StateFormat.Damage.self, "\(length)") { try Self.parse(cut) }
                continue
            }
            let content = try Self.parse(cut)
            let all = Self.records + Self.records
            #expect(content.records == Array(all.prefix(content.records.count)))
            var whole = complete
            for record in content.records.dropFirst(Self.records.count) {
                var text: [UInt8] = []
                record.write(to: &text)
                whole += text.count + Checksum.length
            }
            #expect(content.torn == length - whole)
        }
    }

    @Test("Every flipped bit is noticed") func bitFlips() {
        let bytes = Self.file(Self.records, [Self.party, .ended(Self.flow)])
        let records = Self.records + [Self.party, .ended(Self.flow)]
        for position in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[position] ^= 1 << bit
                // Where a record seems to be longer than the rest, it is as if the end were missing.
                guard let content = try? Self.parse(damaged) else { continue }
                #expect(content.torn > 0, "byte \(position), bit \(bit)")
                #expect(content.records == Array(records.prefix(content.records.count)))
                #expect(content.records.count >= Self.records.count)
            }
        }
    }

    @Test("A hole at the end is a write that was cut off, anything else there is damage") func holes() throws {
        let bytes = Self.file(Self.records)
        for length in [1, 16, 4096] {
            #expect(try Self.parse(bytes + [UInt8](repeating: 0, count: length)).torn == length)
            #expect(throws: StateFormat.Damage.damaged(at: bytes.count)) {
                try Self.parse(bytes + [UInt8](repeating: 0xff, count: length))
            }
            var hole = [UInt8](repeating: 0, count: length)
            hole.append(1)
            #expect(throws: StateFormat.Damage.self) { try Self.parse(bytes + hole) }
        }
        #expect(throws: StateFormat.Damage.self) { try Self.parse([UInt8](repeating: 0, count: 4096)) }
    }

    @Test("Records cannot be left out, put elsewhere, or taken from another file") func chain() throws {
        let bytes = Self.file([.retired(TimeSlot(number: 1)), .retired(TimeSlot(number: 2))])
        let start = Self.file([]).count - 1 - Checksum.length
        let length = 9 + Checksum.length
        var without = bytes
        without.removeSubrange(start..<start + length)
        #expect(throws: StateFormat.Damage.damaged(at: start)) { try Self.parse(without) }
        let swapped =
            bytes[..<start] + bytes[(start + length)..<(start + 2 * length)] + bytes[start..<start + length]
            + bytes[(start + 2 * length)...]
        #expect(throws: StateFormat.Damage.damaged(at: start)) { try Self.parse(Array(swapped)) }
        var other: [UInt8] = []
        var head = Self.head
        head.salt = Array(repeating: 1, count: 16)
        var format = StateFormat(head, to: &other)
        format.write(.complete, to: &other)
        #expect(throws: StateFormat.Damage.self) {
            try Self.parse(Array(other[..<start] + bytes[start...]))
        }
    }

    @Test func versions() {
        var bytes = Self.file([])
        bytes[11] = 2
        #expect(throws: StateFormat.Damage.version(2)) { try Self.parse(bytes) }
        #expect(throws: StateFormat.Damage.notAStateFile) { try Self.parse(Array("hello, world".utf8)) }
        #expect(throws: StateFormat.Damage.notAStateFile) { try Self.parse([]) }
    }

    @Test("Bytes of all kinds do no harm") func noise() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...120, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = StateRecord(bytes[...])
            #expect((try? Self.parse(bytes)) == nil)
        }
        for kind in UInt8(0)...255 {
            for filler in [0, 1, 0x7f, 0xff] as [UInt8] {
                guard let length = StateRecord.length(kind, filler) else { continue }
                _ = StateRecord(([kind] + [UInt8](repeating: filler, count: length - 1))[...])
            }
        }
    }
}
