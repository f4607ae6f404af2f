// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import KnockEngine

/// What one process tells, and what another makes of it.
@Suite("Server: what outlives the process") struct KeptEntryTests {
    /// A bench that shares its state with the test.
    private struct Kept {
        let bench = ServerBench()
        let shared: SharedState

        init(_ change: (inout ServerEngine.Configuration) -> Void = { _ in }) {
            var configuration = ServerEngine.Configuration.usual
            (configuration.handshakeCapacity, configuration.replayCapacity, configuration.lockoutCapacity) = (
                64, 64, 64
            )
            change(&configuration)
            shared = SharedState(configuration)
            bench.engine = ServerEngine(
                guests: [Guest(TestKeys.published)], configuration: configuration, shared: shared)
        }

        var all: [SharedState.Entry] {
            var entries: [SharedState.Entry] = []
            var survey = SharedState.Survey()
            while let found = shared.next(&survey, at: bench.now) { entries += found }
            return entries
        }

        var changes: [SharedState.Entry] {
            var entries: [SharedState.Entry] = []
            #expect(shared.takeChanges(&entries))
            return entries
        }

        /// Another process, some time later.
        func successor(after seconds: Int64, _ entries: [SharedState.Entry]) -> Kept {
            let next = Kept()
            next.bench.now = bench.now
            next.bench.wait(seconds: seconds)
            next.shared.restore(entries, at: next.bench.now)
            return next
        }
    }

    @Test("A replay is refused by the next, until the code is no longer good", arguments: Conversation.kinds)
    func replay(_ conversation: Conversation) {
        let first = Kept()
        first.shared.beginToNoteChanges()
        let slot = first.bench.now.slot
        #expect(first.bench.begin(conversation) == Verdict(.accept, .synAccepted))
        #expect(first.shared.hasChanges)
        let changes = first.changes
        #expect(changes.count == 2)
        #expect(changes == first.all)
        #expect(!first.shared.hasChanges)
        for seconds in [0, 1, 60, 89] as [Int64] {
            let next = first.successor(after: seconds, changes)
            let reason = next.bench.receive(conversation.syn(slot)).reason
            #expect(reason == .synReplayed, "after \(seconds) s")
        }
        // What has expired is not forgotten without a trace, even if the clock goes back.
        let late = first.successor(after: 181, changes)
        #expect(late.all == [.slots(SlotSpan(slot, slot, retires: first.bench.now.uptime + 180_000))])
        late.bench.now.unixSeconds -= 181
        #expect(late.bench.receive(conversation.syn(slot)) == Verdict(.drop, .synOfRetiredSlot))
    }

    @Test("A retransmission with a later code is told too") func extension_() {
        let first = Kept()
        let talk = Conversation()
        first.shared.beginToNoteChanges()
        first.bench.begin(talk)
        _ = first.changes
        first.bench.wait(seconds: 60)
        #expect(first.bench.begin(talk) == Verdict(.accept, .synRetransmitted))
        let changes = first.changes
        #expect(changes.count == 2)
        #expect(changes == Array(first.all.dropFirst()), "the slot of the first SYN is told already")
        let next = first.successor(after: 120, first.all)
        #expect(next.all == first.all, "with its deadline")
    }

    @Test("A lockout goes on, and ends when it would have ended", arguments: Conversation.kinds)
    func lockout(_ conversation: Conversation) {
        let first = Kept()
        first.shared.beginToNoteChanges()
        first.bench.lockOut(conversation)
        let entries = first.changes
        #expect(entries.contains { if case .lockout(.init(conversation.client, nil), _) = $0 { true } else { false } })
        #expect(first.successor(after: 119, entries).bench.isLockedOut(conversation.client))
        #expect(!first.successor(after: 120, entries).bench.isLockedOut(conversation.client))
        let next = first.successor(after: 60, entries)
        #expect(next.shared.lockedOut(at: next.bench.now).count == 1)
        #expect(next.bench.begin(conversation) == Verdict(.drop, .lockedOut))
        // Ended by hand, which is told as well.
        next.shared.beginToNoteChanges()
        #expect(next.shared.unlock(conversation.client, at: next.bench.now))
        #expect(next.changes.count == 1)
        #expect(!next.successor(after: 0, next.all).bench.isLockedOut(conversation.client))
    }

    @Test("A lockout that is longer than those of now is kept whole") func longer() {
        let kept = Kept()
        let address = Conversation().client
        let until = kept.bench.now.uptime + 86_400_000
        let lockout = Lockout(since: kept.bench.now.uptime, until: until, reason: .wrongAcknowledgment)
        kept.shared.restore([.lockout(.init(address, nil), lockout)], at: kept.bench.now)
        kept.bench.wait(seconds: 86_399)
        #expect(kept.bench.isLockedOut(address))
        kept.bench.wait(seconds: 1)
        #expect(!kept.bench.isLockedOut(address))
    }

    @Test("Nothing is noted before somebody asks for it, and nothing grows without bound") func bounds() {
        let kept = Kept { $0.lockoutCapacity = 30_000 }
        kept.shared.lockouts.lock(.init(IPAddress(ipv4: 1), nil), .wrongAcknowledgment, at: kept.bench.now.uptime)
        #expect(!kept.shared.hasChanges)
        kept.shared.beginToNoteChanges()
        for number in 0..<UInt32(20_000) {
            kept.shared.lockouts.lock(
                .init(IPAddress(ipv4: number), nil), .wrongAcknowledgment, at: kept.bench.now.uptime)
        }
        var entries: [SharedState.Entry] = []
        #expect(!kept.shared.takeChanges(&entries), "some found no room")
        #expect(entries.count == ChangeLog.capacity)
        #expect(kept.all.count == 20_000, "but all can be asked for, in more than one step")
        #expect(kept.shared.takeChanges(&entries))
        #expect(entries.isEmpty)
    }

    @Test("More than there is room for retires slots instead of letting replays in") func overfull() {
        let kept = Kept { $0.replayCapacity = 4 }
        let now = kept.bench.now
        let entries = (0..<6).map { number in
            SharedState.Entry.usedCode(
                UsedCode(
                    handshake: Handshake(clientAddress: IPAddress(ipv4: 1), clientISN: UInt32(number)), key: KeyID(0)),
                deadline: now.uptime + 1000 + UInt64(number))
        }
        let spans = [SlotSpan(now.slot, now.slot, retires: now.uptime + 1000)]
        kept.shared.restore(entries, at: now)
        kept.shared.restore(spans.map { .slots($0) }, at: now)
        #expect(kept.all.count == 5)
        #expect(kept.all.first == .slots(SlotSpan(now.slot, now.slot, retires: 0)))
        #expect(kept.bench.begin(Conversation()) == Verdict(.drop, .synOfRetiredSlot))
    }

    @Test("Without time there is no end, and the oldest gives way") func timeless() {
        let kept = Kept {
            $0.usesTime = false
            $0.replayCapacity = 4
        }
        let entries = (0..<6).map { number in
            SharedState.Entry.usedCode(
                UsedCode(
                    handshake: Handshake(clientAddress: IPAddress(ipv4: 1), clientISN: UInt32(number)), key: KeyID(0)),
                deadline: UInt64.max)
        }
        kept.shared.restore(entries, at: kept.bench.now)
        let codes = kept.all.compactMap { entry -> UInt32? in
            if case .usedCode(let code, _) = entry { code.handshake.clientISN } else { nil }
        }
        #expect(Set(codes) == [2, 3, 4, 5])
        kept.bench.wait(seconds: 10_000_000)
        #expect(kept.all.count == 4)
    }
}
