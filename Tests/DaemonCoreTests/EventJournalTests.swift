// SPDX-License-Identifier: GPL-2.0-or-later
import DaemonCore
import Dispatch
import KnockEngine
import Netfilter
import TestSupport
import Testing

@Suite("The journal between the threads", .timeLimit(.minutes(1))) struct EventJournalTests {
    private static func events(_ ports: some Sequence<UInt16>) -> [Event] {
        ports.map { Event(flow($0), .knocked, at: instant) }
    }

    @Test("Events that carry a duty have room where others have none")
    func duties() {
        let journal = EventJournal()
        var engine = ScriptedEngine()
        for start in stride(from: UInt16(0), to: 5000, by: 1000) {
            engine.offer(Self.events(start..<start + 1000))
            _ = journal.drain(&engine)
        }
        let duties = (UInt16(0)..<1000).map { Event(flow($0), .acknowledgmentVerified, at: instant) }
        engine.offer(duties)
        if journal.drain(&engine) { journal.announce() }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.lost == 904)
        #expect(Array(entries.events.suffix(1000)) == duties)
    }

    @Test func eventsKeepTheirOrder() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(1...100))
        if journal.drain(&engine) { journal.announce() }
        engine.offer(Self.events(101...200))
        if journal.drain(&engine) { journal.announce() }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.events == Self.events(1...200))
        #expect(entries.lost == 0)
    }

    @Test func eventsAreTakenOnce() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(1...3))
        if journal.drain(&engine) { journal.announce() }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        engine.offer(Self.events(4...4))
        if journal.drain(&engine) { journal.announce() }
        #expect(journal.wait(&entries))
        #expect(entries.events == Self.events(4...4))
    }

    @Test func whatFindsNoRoomIsCountedOnce() {
        let journal = EventJournal()
        var engine = ScriptedEngine()
        for start in stride(from: UInt16(0), to: 5000, by: 1000) {
            engine.offer(Self.events(start..<start + 1000))
            if journal.drain(&engine) { journal.announce() }
        }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.events == Self.events(0..<4096))
        #expect(entries.lost == 904)
        engine.offer(Self.events(1...1))
        if journal.drain(&engine) { journal.announce() }
        #expect(journal.wait(&entries))
        #expect(entries.lost == 0)
        #expect(entries.events.count == 1)
    }

    @Test func whatWaitsAtTheEndIsTaken() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(1...3))
        let hasNews = journal.drain(&engine)
        #expect(hasNews)
        journal.finish()
        var entries = EventJournal.Entries()
        #expect(!journal.wait(&entries))
        #expect(entries.events == Self.events(1...3))
    }

    @Test func troubleAddsUp() {
        let journal = EventJournal()
        var engine = ScriptedEngine()
        var batch = ReceivedBatch()
        (batch.trouble.overflows, batch.trouble.refusedVerdicts, batch.trouble.malformedMessages) = (1, 2, 3)
        for _ in 0..<2 where journal.drain(&engine, batch) { journal.announce() }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.trouble.overflows == 2)
        #expect(entries.trouble.refusedVerdicts == 4)
        #expect(entries.trouble.malformedMessages == 6)
        #expect(entries.events == [])
    }

    @Test("A lockout is announced at once, other events by whoever takes them") func urgency() {
        let journal = EventJournal()
        let lockout = Event(flow(7), .wrongAcknowledgment, at: instant)
        var engine = ScriptedEngine(events: Self.events(1...1))
        let waits = journal.drain(&engine)
        engine.offer([lockout])
        let waitsForLockout = journal.drain(&engine)
        #expect(waits && !waitsForLockout)
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.events == Self.events(1...1) + [lockout])
    }

    @Test("Who waits is woken by another thread") func waking() async {
        let journal = EventJournal()
        let thread = DispatchQueue(label: "producer")
        thread.async {
            var engine = ScriptedEngine()
            // Nothing has happened: this wakes nobody.
            if journal.drain(&engine) { journal.announce() }
            engine.offer([Event(flow(9), .acknowledgmentVerified, at: instant)])
            if journal.drain(&engine) { journal.announce() }
        }
        var entries = EventJournal.Entries()
        #expect(journal.wait(&entries))
        #expect(entries.events == [Event(flow(9), .acknowledgmentVerified, at: instant)])
    }
}
