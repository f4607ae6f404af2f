// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import TestSupport
import Testing
import Wire

@testable import KnockEngine

@Suite("Counters and events") struct CounterAndEventTests {
    @Test func countersStartAtZeroAndCountEachVerdict() {
        let bench = ServerBench()
        #expect(bench.engine.counters == Counters())
        #expect(Reason.allCases.allSatisfy { Counters()[$0] == 0 })
        bench.verify(Conversation())
        for _ in 0..<3 { _ = bench.receive(Conversation().plainSYN) }
        let expected: [Reason: UInt64] = [
            .synAccepted: 1, .synAckMasked: 1, .acknowledgmentVerified: 1, .synWithoutCode: 3,
        ]
        for reason in Reason.allCases { #expect(bench.engine.counters[reason] == expected[reason] ?? 0) }
    }

    @Test func countersAddUp() {
        let benches = [ServerBench(), ServerBench()]
        benches[0].verify(Conversation())
        for _ in 0..<2 { _ = benches[1].receive(Conversation().plainSYN) }
        _ = benches[1].begin(Conversation())
        var sum = Counters()
        for bench in benches { sum.add(bench.engine.counters) }
        #expect(sum[.synAccepted] == 2)
        #expect(sum[.acknowledgmentVerified] == 1)
        #expect(sum[.synWithoutCode] == 2)
        #expect(Reason.allCases.map { sum[$0] }.reduce(0, +) == 6)
    }

    @Test("Events come in the order in which they happened")
    func order() {
        let bench = ServerBench()
        let (first, second) = (Conversation(), Conversation(.ipv6, .windowed))
        bench.begin(first)
        bench.begin(second)
        _ = bench.send(second.synAck())
        _ = bench.receive(second.thirdACK)
        _ = bench.send(first.synAck())
        _ = bench.receive(first.acknowledging(1))
        #expect(
            bench.events() == [
                Noted(first.flow, .synAccepted, .full), Noted(second.flow, .synAccepted, .windowed),
                Noted(second.flow, .acknowledgmentVerified),
                Noted(first.flow, .wrongAcknowledgment),
            ])
        #expect(bench.events() == [])
        #expect(bench.engine.lostEvents == 0)
    }

    @Test("Each dropped packet makes an event where that is asked for, and only there", arguments: [true, false])
    func drops(_ reports: Bool) {
        let bench = ServerBench { $0.reporting = reports ? .drops : [] }
        let conversation = Conversation()
        _ = bench.receive(conversation.plainSYN)
        _ = bench.send(conversation.synAck())
        let expected: [Noted] = [
            Noted(conversation.flow, .synWithoutCode), Noted(conversation.flow, .synAckWithoutHandshake),
        ]
        #expect(bench.events() == (reports ? expected : []))
    }

    @Test("Events that nobody takes are lost beyond a bound, the newest first, and counted")
    func bound() {
        let bench = ServerBench { $0.reporting = .drops }
        for _ in 0..<1030 { _ = bench.receive(Conversation().plainSYN) }
        #expect(bench.engine.lostEvents == 6)
        #expect(bench.events().count == 1024)
        _ = bench.receive(Conversation().plainSYN)
        #expect(bench.events().count == 1)
        #expect(bench.engine.lostEvents == 6)
    }

    @Test("The client's events are bounded too")
    func clientBound() {
        let bench = ClientBench()
        for _ in 0..<1030 { _ = bench.receive(Conversation().maskedSYNACK()) }
        #expect(bench.engine.lostEvents == 6)
        #expect(bench.events().count == 1024)
    }
}
