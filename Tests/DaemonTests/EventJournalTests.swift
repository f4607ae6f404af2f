// SPDX-License-Identifier: GPL-2.0-or-later
import Daemon
import Dispatch
import KnockEngine
import NetfilterQueue
import Testing

@Suite("The journal between the threads", .timeLimit(.minutes(1))) struct EventJournalTests {
    private static func events(_ ports: some Sequence<UInt16>) -> [Event] { ports.map { .verified(flow($0)) } }

    @Test func eventsKeepTheirOrder() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(1...100))
        journal.drain(&engine)
        engine.events = Self.events(101...200)
        journal.drain(&engine)
        var entries = EventJournal.Entries()
        journal.wait(&entries)
        #expect(entries.events == Self.events(1...200))
        #expect(entries.lost == 0)
    }

    @Test func eventsAreTakenOnce() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(1...3))
        journal.drain(&engine)
        var entries = EventJournal.Entries()
        journal.wait(&entries)
        engine.events = Self.events(4...4)
        journal.drain(&engine)
        journal.wait(&entries)
        #expect(entries.events == Self.events(4...4))
    }

    @Test func whatFindsNoRoomIsCountedOnce() {
        let journal = EventJournal()
        var engine = ScriptedEngine(events: Self.events(0..<5000))
        journal.drain(&engine)
        var entries = EventJournal.Entries()
        journal.wait(&entries)
        #expect(entries.events == Self.events(0..<4096))
        #expect(entries.lost == 904)
        engine.events = Self.events(1...1)
        journal.drain(&engine)
        journal.wait(&entries)
        #expect(entries.lost == 0)
        #expect(entries.events.count == 1)
    }

    @Test func troubleAddsUp() {
        let journal = EventJournal()
        var engine = ScriptedEngine()
        var batch = ReceivedBatch()
        (batch.overflowed, batch.refusedVerdicts, batch.malformedMessages) = (true, 2, 3)
        for _ in 0..<2 { journal.drain(&engine, batch) }
        var entries = EventJournal.Entries()
        journal.wait(&entries)
        #expect(entries.overflows == 2)
        #expect(entries.refusedVerdicts == 4)
        #expect(entries.malformedMessages == 6)
        #expect(entries.events == [])
    }

    @Test("Who waits is woken by another thread") func waking() async {
        let journal = EventJournal()
        let thread = DispatchQueue(label: "producer")
        thread.async {
            var engine = ScriptedEngine()
            // Nothing has happened: this wakes nobody.
            journal.drain(&engine)
            engine.events = [.verified(flow(9))]
            journal.drain(&engine)
        }
        var entries = EventJournal.Entries()
        journal.wait(&entries)
        #expect(entries.events == [.verified(flow(9))])
    }
}
