// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: wrong codes are counted where that is asked for") struct WrongCodeTests {
    private static func bench(_ limit: UInt32, seconds: UInt32 = 60) -> ServerBench {
        ServerBench { ($0.wrongCodeLimit, $0.wrongCodeSeconds) = (limit, seconds) }
    }

    private static func wrong(_ bench: ServerBench, _ talk: Conversation = Conversation()) -> Reason {
        bench.receive(talk.syn(bench.now.slot, keys: TestKeys.other)).reason
    }

    @Test("So many in a period lock out", arguments: [1, 2, 5] as [UInt32])
    func limit(_ limit: UInt32) {
        let bench = Self.bench(limit)
        for _ in 1..<limit { #expect(Self.wrong(bench) == .synWithWrongCode) }
        #expect(Self.wrong(bench) == .tooManyWrongCodes)
        #expect(bench.events() == [Noted(Conversation().flow, .tooManyWrongCodes)])
        #expect(Self.wrong(bench) == .lockedOut)
        #expect(bench.begin(Conversation()).reason == .lockedOut)
        #expect(Self.wrong(bench, Conversation(.ipv6)) == (limit == 1 ? .tooManyWrongCodes : .synWithWrongCode))
        bench.wait(seconds: 120)
        #expect(bench.begin(Conversation()).reason == .synAccepted)
    }

    @Test("The period begins with the first") func period() {
        let bench = Self.bench(3)
        for _ in 0..<5 {
            #expect(Self.wrong(bench) == .synWithWrongCode)
            bench.wait(seconds: 31)
        }
        #expect(Self.wrong(bench) == .synWithWrongCode)
        #expect(Self.wrong(bench) == .tooManyWrongCodes)
    }

    @Test("By default they lock nobody out") func off() {
        let bench = ServerBench()
        for _ in 0..<1000 { #expect(Self.wrong(bench) == .synWithWrongCode) }
    }
}
