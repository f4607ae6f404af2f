// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import Logging
import Netfilter
import TestSupport
import Testing
import Wire

@testable import DaemonCore

@Suite struct EventLogTests {
    private let collector = LineCollector()
    private static let now = Instant(unixSeconds: 0, uptime: 5000)
    private static let ends = "client=192.0.2.10:40000 server=198.51.100.22:22"

    private var log: EventLog { EventLog(Logger(label: "test") { [collector] _ in collector }, partyLabel: "guest") }
    private var lines: [String] { collector.all }

    @Test(
        "Each event is a line",
        arguments: [
            (
                Event(flow(), .synAccepted, mode: .windowed, at: instant),
                "debug handshake begun {client=192.0.2.10:40000 mask=windowed server=198.51.100.22:22}"
            ),
            (Event(flow(), .acknowledgmentVerified, at: instant), "info connection verified {\(ends)}"),
            (Event(flow(), .resetOfHandshake, at: instant), "info handshake ended by the client {\(ends)}"),
            (Event(flow(), .synAckProven, at: instant), "info server proven {\(ends)}"),
            (
                Event(flow(), .wrongAcknowledgment, at: instant),
                "warning locked out: \(Reason.wrongAcknowledgment.explanation) "
                    + "{client=192.0.2.10:40000 reason=wrong-acknowledgment server=198.51.100.22:22}"
            ),
            (
                Event(flow(), .fragment, at: instant),
                "debug dropped: \(Reason.fragment.explanation) {client=192.0.2.10:40000 reason=fragment server=198.51.100.22:22}"
            ),
        ] as [(Event, String)])
    func line(_ event: Event, _ line: String) {
        var log = log
        log.write(event, of: nil, at: Self.now)
        #expect(lines == [line])
    }

    @Test(
        "A failed proof comes with advice",
        arguments: [
            (Reason.proofMissing, "is its daemon running"), (.proofWrong, "wrong --nat-ip"),
        ])
    func advice(_ reason: Reason, _ advice: String) throws {
        var log = log
        log.write(Event(flow(), reason, at: instant), of: nil, at: Self.now)
        let line = try #require(lines.first)
        #expect(line.hasPrefix("warning SYN/ACK dropped: \(reason.explanation)"))
        #expect(line.contains("reason=\(reason.name)"))
        #expect(line.contains(advice))
    }

    @Test("What anybody can cause makes no more than 20 lines a second")
    func limit() throws {
        var log = log
        for _ in 0..<50 { log.write(Event(flow(), .synWithoutCode, at: instant), of: nil, at: Self.now) }
        for _ in 0..<50 { log.write(Event(flow(), .proofMissing, at: instant), of: nil, at: Self.now) }
        #expect(lines.count == 20)
        log.write(Event(flow(), .synWithoutCode, at: instant), of: nil, at: Instant(unixSeconds: 0, uptime: 6000))
        #expect(lines.count == 21)
        #expect(try #require(lines.last).contains("held-back=80"))
    }

    @Test("What only a holder of the key can cause is not limited")
    func noLimit() {
        var log = log
        for _ in 0..<50 { log.write(Event(flow(), .acknowledgmentVerified, at: instant), of: nil, at: Self.now) }
        #expect(lines.count == 50)
    }

    @Test("A guest who knocks without a pause has 20 lines a second, and the rest are told")
    func limitOfGuest() throws {
        var log = log
        for _ in 0..<50 { log.write(Event(flow(), .knocked, at: instant), of: "mallory", at: Self.now) }
        log.write(Event(flow(), .knocked, at: instant), of: "alice", at: Self.now)
        #expect(lines.count == 21)
        let isOwing = log.writeLeftOut(at: Self.now)
        let isOwingLater = log.writeLeftOut(at: Instant(unixSeconds: 0, uptime: 6000))
        #expect(isOwing && !isOwingLater)
        #expect(lines.count == 22)
        let last = try #require(lines.last)
        #expect(last.hasPrefix("warning log lines left out") && last.contains("count=30 guest=mallory"))
    }

    @Test func trouble() {
        var log = log
        var entries = EventJournal.Entries()
        log.writeTrouble(entries, at: Self.now)
        #expect(lines == [])
        entries.lost = 1
        (entries.trouble.overflows, entries.trouble.refusedVerdicts, entries.trouble.malformedMessages) = (2, 3, 4)
        log.writeTrouble(entries, at: Self.now)
        #expect(lines.count == 4)
        #expect(lines.allSatisfy { $0.hasPrefix("warning ") })
        #expect(["lost=1", "times=2", "count=3", "count=4"].enumerated().allSatisfy { lines[$0].contains($1) })
        // Within the second it is only added up.
        log.writeTrouble(entries, at: Self.now)
        #expect(lines.count == 4)
        log.writeTrouble(entries, at: Instant(unixSeconds: 0, uptime: 6000))
        #expect(lines.count == 8)
        #expect(["lost=2", "times=4", "count=6", "count=8"].enumerated().allSatisfy { lines[$0 + 4].contains($1) })
    }

    @Test("The ends of a flow are written as in a URL") func flowText() {
        let flow = Flow(
            clientAddress: IPAddress(high: 0x2001_0db8 << 32, low: 1), clientPort: 5,
            serverAddress: IPAddress(192, 0, 2, 1), serverPort: 22)
        #expect(flow.client == "[2001:db8::1]:5")
        #expect(flow.server == "192.0.2.1:22")
    }
}
