// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import Daemon
@testable import KnockEngine

@Suite("State file: what it means to the next daemon") struct KeptStateTests {
    private static let boot = [UInt8](repeating: 7, count: 16)
    private static let otherBoot = [UInt8](repeating: 8, count: 16)
    private static let now = Instant(unixSeconds: 1_800_000_000, uptime: 1_000_000)
    private static let address = IPAddress(192, 0, 2, 1)
    private static let party = StateRecord.party(0, name: "alice", fingerprint: "f")

    private static func kept(
        _ records: [StateRecord], boot: [UInt8] = boot, begun: UInt64 = 900_000, _ registry: KeyRegistry = KeyRegistry()
    ) -> KeptState {
        let head = StateFormat.Head(boot: boot, salt: boot, unixSeconds: 0, uptime: begun)
        return KeptState(StateFormat.Content(head: head, records: records), boot: Self.boot, registry, at: now)
    }

    private static func lockout(since: UInt64, until: UInt64) -> StateRecord {
        .lockout(address, Lockout(since: since, until: until, reason: .wrongAcknowledgment))
    }

    private static func lockedUntil(_ kept: KeptState) -> UInt64? {
        for case .lockout(address, let lockout) in kept.entries { return lockout.until }
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

    private static func code(_ slot: TimeSlot, deadline: UInt64, party: UInt32 = 0) -> StateRecord {
        .usedCode(Handshake(clientAddress: address, clientISN: 5), party: party, slot, deadline: deadline)
    }

    @Test("A used code is remembered as long as it would have been, or for all of its time at another boot")
    func usedCodes() {
        let registry = KeyRegistry()
        let id = registry.id(of: "alice", fingerprint: "f")
        let slot = Self.now.slot
        let code = UsedCode(handshake: Handshake(clientAddress: Self.address, clientISN: 5), key: id)
        let records = [Self.party, Self.code(slot, deadline: 1_050_000)]
        #expect(Self.kept(records, registry).entries == [.usedCode(code, slot, deadline: 1_050_000)])
        #expect(
            Self.kept(records, boot: Self.otherBoot, registry).entries == [
                .usedCode(code, slot, deadline: 1_180_000)
            ])
        let endless = [Self.party, Self.code(slot, deadline: .max)]
        #expect(Self.kept(endless, registry).entries == [.usedCode(code, slot, deadline: 1_180_000)])
        let twice = records + [Self.code(TimeSlot(number: slot.number + 1), deadline: 1_060_000)]
        #expect(
            Self.kept(twice, registry).entries == [
                .usedCode(code, TimeSlot(number: slot.number + 1), deadline: 1_060_000)
            ])
        #expect(Self.kept([Self.party, Self.code(slot, deadline: 1, party: 9)], registry).entries.isEmpty, "of nobody")
    }

    @Test("A guest is the same with the same name and key only") func parties() {
        let registry = KeyRegistry()
        let kept = Self.kept([Self.party, Self.code(Self.now.slot, deadline: 1_050_000)], registry)
        guard case .usedCode(let code, _, _) = kept.entries.first else {
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

    @Test("A used code of a slot that a right clock never had is remembered, and retires nothing") func farAhead() {
        let slot = TimeSlot(number: Self.now.slot.number + 1_000_000)
        for boot in [Self.boot, Self.otherBoot] {
            let kept = Self.kept([Self.party, Self.code(slot, deadline: 1_050_000)], boot: boot)
            guard case .usedCode(_, .timeless, let deadline) = kept.entries.first else {
                Issue.record("\(kept.entries)")
                continue
            }
            #expect(deadline == (boot == Self.boot ? 1_050_000 : 1_180_000))
        }
    }

    @Test("A slot that a right clock never had is not taken for retired") func retired() {
        let slot = Self.now.slot.number
        for (number, isKept) in [(0, true), (slot, true), (slot + 1440, true), (slot + 1441, false), (.max, false)] {
            let entries = Self.kept([.retired(TimeSlot(number: number))]).entries
            #expect(entries.isEmpty != isKept, "\(number)")
        }
    }
}
