// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import Control
@testable import DaemonCore
@testable import KnockEngine
@testable import Server

@Suite("State file: what it means to the next daemon") struct KeptStateTests {
    private static let boot = [UInt8](repeating: 7, count: 16)
    private static let otherBoot = [UInt8](repeating: 8, count: 16)
    private static let now = Instant(unixSeconds: 1_800_000_000, uptime: 1_000_000)
    private static let address = IPAddress(192, 0, 2, 1)
    private static let party = StateRecord.party(0, name: "alice", fingerprint: "f")

    /// What is made of records.
    private struct Kept {
        var entries: [SharedState.Entry] = []
        /// How many entries came at a time.
        var portions: [Int] = []
        let lockouts: Int
        let connections: [Flow: OpenConnection]
    }

    private static func kept(
        _ records: [StateRecord], boot: [UInt8] = boot, begun: UInt64 = 900_000,
        _ registry: KeyRegistry = KeyRegistry(), usesTime: Bool = true
    ) -> Kept {
        let head = StateFormat.Head(boot: boot, salt: boot, unixSeconds: 0, uptime: begun)
        var (entries, portions): ([SharedState.Entry], [Int]) = ([], [])
        var kept = KeptState(boot: Self.boot, registry, at: now, usesTime: usesTime) {
            entries += $0
            portions.append($0.count)
        }
        for record in records { kept.take(record, head) }
        kept.finish()
        return Kept(entries: entries, portions: portions, lockouts: kept.lockouts, connections: kept.connections)
    }

    private static func lockout(since: UInt64, until: UInt64) -> StateRecord {
        .lockout(address, party: nil, Lockout(since: since, until: until, reason: .wrongAcknowledgment))
    }

    private static func lockedUntil(_ kept: Kept) -> UInt64? {
        for case .lockout(.init(address, nil), let lockout) in kept.entries { return lockout.until }
        return nil
    }

    @Test("A lockout of this boot ends when it would have ended") func sameBoot() {
        #expect(Self.lockedUntil(Self.kept([Self.lockout(since: 950_000, until: 1_070_000)])) == 1_070_000)
        let over = Self.kept([Self.lockout(since: 850_000, until: 999_999)])
        #expect(over.lockouts == 0)
        let ended = Self.kept([
            Self.lockout(since: 950_000, until: 1_070_000), Self.lockout(since: 950_000, until: 960_000),
        ])
        #expect(ended.lockouts == 0, "the last word counts")
    }

    @Test("What was left of a lockout at another boot counts from now") func anotherBoot() {
        // Written down when it began.
        let journal = Self.kept([Self.lockout(since: 950_000, until: 1_070_000)], boot: Self.otherBoot)
        #expect(Self.lockedUntil(journal) == Self.now.uptime + 120_000)
        // Written down again when the file was begun.
        let snapshot = Self.kept([Self.lockout(since: 850_000, until: 970_000)], boot: Self.otherBoot)
        #expect(Self.lockedUntil(snapshot) == Self.now.uptime + 70_000)
        // A clock that has gone back is another boot's.
        let back = Self.kept([Self.lockout(since: 5_000_000, until: 5_120_000)], begun: 5_000_000)
        #expect(Self.lockedUntil(back) == Self.now.uptime + 120_000)
    }

    @Test("No lockout is longer than settings allow", arguments: [boot, otherBoot])
    func bounded(_ boot: [UInt8]) {
        let extremes: [(UInt64, UInt64)] = [(0, .max), (.max, .max), (.max, 0), (0, 0), (950_000, .max)]
        for (since, until) in extremes {
            let kept = Self.kept([Self.lockout(since: since, until: until)], boot: boot)
            #expect(Self.lockedUntil(kept).map { $0 <= Self.now.uptime + 86_400_000 } == true)
        }
    }

    private static func code(deadline: UInt64, isn: UInt32 = 5, party: UInt32 = 0) -> StateRecord.Code {
        StateRecord.Code(
            handshake: Handshake(clientAddress: address, clientISN: isn), party: party, deadline: deadline)
    }

    private static func span(_ slot: TimeSlot, retires: UInt64) -> SlotSpan {
        SlotSpan(slot, slot, retires: retires)
    }

    @Test("A used code is remembered as long as it would have been, or for all of its time at another boot")
    func usedCodes() {
        let registry = KeyRegistry()
        let id = registry.id(of: "alice", fingerprint: "f")
        let code = UsedCode(handshake: Handshake(clientAddress: Self.address, clientISN: 5), key: id)
        func entries(_ deadline: UInt64, boot: [UInt8] = Self.boot, usesTime: Bool = true) -> [SharedState.Entry] {
            let records = [Self.party, .usedCodes([Self.code(deadline: deadline)])]
            return Self.kept(records, boot: boot, registry, usesTime: usesTime).entries
        }
        #expect(entries(1_050_000) == [.usedCode(code, deadline: 1_050_000)])
        #expect(entries(1_050_000, boot: Self.otherBoot) == [.usedCode(code, deadline: 1_180_000)])
        #expect(entries(.max) == [.usedCode(code, deadline: 1_180_000)])
        #expect(entries(1_000_000).isEmpty, "it is over")
        #expect(entries(5, boot: Self.otherBoot) == [.usedCode(code, deadline: 1_180_000)], "nobody knows")
        #expect(entries(1_050_000, usesTime: false) == [.usedCode(code, deadline: 1_050_000)])
        #expect(entries(5, boot: Self.otherBoot, usesTime: false) == [.usedCode(code, deadline: .max)])
        let ofNobody = [Self.party, StateRecord.usedCodes([Self.code(deadline: .max, party: 9)])]
        #expect(Self.kept(ofNobody, registry).entries.isEmpty)
    }

    @Test("Used codes are handed over in portions, and slots at the end; all at once where the order counts")
    func portions() {
        let codes = (0..<20_000).map { Self.code(deadline: 1_050_000, isn: UInt32($0)) }
        let records =
            [Self.party, .slots(Self.span(Self.now.slot, retires: 1_050_000))]
            + stride(from: 0, to: codes.count, by: 100).map { .usedCodes(Array(codes[$0..<$0 + 100])) }
        let kept = Self.kept(records)
        #expect(kept.portions == [8192, 8192, 20_000 - 2 * 8192 + 1])
        #expect(kept.entries.last == .slots(Self.span(Self.now.slot, retires: 1_050_000)))
        #expect(Self.kept(records, usesTime: false).portions == [20_001])
    }

    @Test("A slot is retired when it would have been; at another boot, when all of its codes are forgotten")
    func slots() {
        let slot = Self.now.slot
        func entries(_ retires: UInt64, _ boot: [UInt8]) -> [SharedState.Entry] {
            Self.kept([.slots(Self.span(slot, retires: retires))], boot: boot).entries
        }
        for (retires, same, other) in [
            (0, 0, 0), (900_000, 900_000, 0), (900_001, 900_001, 1_180_000), (1_050_000, 1_050_000, 1_180_000),
            (.max, 1_180_000, 1_180_000),
        ] as [(UInt64, UInt64, UInt64)] {
            #expect(entries(retires, Self.boot) == [.slots(Self.span(slot, retires: same))])
            #expect(entries(retires, Self.otherBoot) == [.slots(Self.span(slot, retires: other))])
        }
    }

    @Test("A file of before has the slot with the code") func olderCodes() {
        let registry = KeyRegistry()
        let id = registry.id(of: "alice", fingerprint: "f")
        let code = UsedCode(handshake: Handshake(clientAddress: Self.address, clientISN: 5), key: id)
        let slot = Self.now.slot
        let records = [Self.party, .usedCode(Self.code(deadline: 1_050_000), slot)]
        #expect(
            Self.kept(records, registry).entries == [
                .usedCode(code, deadline: 1_050_000), .slots(Self.span(slot, retires: 1_050_000)),
            ])
        let timeless = [Self.party, StateRecord.usedCode(Self.code(deadline: 1_050_000), .timeless)]
        #expect(Self.kept(timeless, registry, usesTime: false).entries == [.usedCode(code, deadline: 1_050_000)])
    }

    @Test("A guest is the same with the same name and key only") func parties() {
        let registry = KeyRegistry()
        let kept = Self.kept([Self.party, .usedCodes([Self.code(deadline: 1_050_000)])], registry)
        guard case .usedCode(let code, _) = kept.entries.first else {
            Issue.record("no used code")
            return
        }
        #expect(code.key == registry.id(of: "alice", fingerprint: "f"))
        #expect(code.key != registry.id(of: "alice", fingerprint: "g"))
        #expect(code.key != registry.id(of: "bob", fingerprint: "f"))
    }

    @Test("Connections of this boot are open until they end, those of another are gone") func connections() {
        let (flow, since) = (StateFormatTests.flow, Instant(unixSeconds: 1, uptime: 2))
        let records = [Self.party, .opened(flow, party: 0, since: since)]
        let registry = KeyRegistry()
        let id = registry.id(of: "alice", fingerprint: "f")
        #expect(Self.kept(records, registry).connections == [flow: OpenConnection(key: id, since: since)])
        #expect(Self.kept(records, boot: Self.otherBoot).connections.isEmpty)
        #expect(Self.kept(records + [.ended(flow)]).connections.isEmpty)
        let future = Instant(unixSeconds: 1, uptime: .max)
        #expect(
            Self.kept([.opened(flow, party: nil, since: future)]).connections[flow]
                == OpenConnection(key: nil, since: Instant(unixSeconds: 1, uptime: Self.now.uptime)))
    }

    @Test("A file of before has one slot that is retired, with all before it; one that no right clock had is none")
    func retired() {
        let slot = Self.now.slot.number
        for (number, isKept) in [(0, true), (slot, true), (slot + 1440, true), (slot + 1441, false), (.max, false)] {
            let entries = Self.kept([.retired(TimeSlot(number: number))]).entries
            let all = SlotSpan(TimeSlot(number: 0), TimeSlot(number: number), retires: 0)
            #expect(entries == (isKept ? [.slots(all)] : []), "\(number)")
        }
    }
}
