// SPDX-License-Identifier: GPL-2.0-or-later
import KnockProtocol
import Testing
import Wire

@testable import KnockEngine

@Suite("Shares of guests in the room for used codes") struct GuestSharesTests {
    private static func taken(_ shares: inout GuestShares, _ guest: KeyID, atMost limit: Int = 1000) -> Int {
        var count = 0
        while count < limit, shares.mayTake(guest) {
            shares.take(guest)
            count += 1
        }
        return count
    }

    @Test("A guest alone may take all", arguments: [1, 2, 7, 100])
    func alone(_ capacity: Int) {
        var shares = GuestShares(capacity: capacity)
        #expect(Self.taken(&shares, KeyID(1)) == capacity)
    }

    @Test("Whatever one takes, each other one has its share", arguments: 2...20)
    func several(_ guests: Int) {
        var shares = GuestShares(capacity: 100)
        shares.divide(among: guests)
        let share = 50 / guests
        #expect(Self.taken(&shares, KeyID(0)) == 100 - share * (guests - 1))
        for guest in 1..<UInt32(guests) { #expect(Self.taken(&shares, KeyID(guest)) == share) }
    }

    @Test("What is given back can be taken again, by whoever comes first")
    func givenBack() {
        var shares = GuestShares(capacity: 100)
        shares.divide(among: 2)
        #expect(Self.taken(&shares, KeyID(0)) == 75)
        for _ in 0..<10 { shares.giveBack(KeyID(0)) }
        #expect(Self.taken(&shares, KeyID(1)) == 35)
        #expect(Self.taken(&shares, KeyID(0)) == 0)
    }

    @Test("A guest more makes the shares smaller, and what is taken counts as before")
    func divided() {
        var shares = GuestShares(capacity: 100)
        #expect(Self.taken(&shares, KeyID(0), atMost: 60) == 60)
        shares.divide(among: 2)
        #expect(Self.taken(&shares, KeyID(0)) == 15)
        #expect(Self.taken(&shares, KeyID(1)) == 25)
        for _ in 0..<75 { shares.giveBack(KeyID(0)) }
        shares.giveBack(KeyID(0))
        #expect(Self.taken(&shares, KeyID(0)) == 75)
    }

    @Test("A guest who uses code after code keeps nobody else out, and gets in again when theirs expire")
    func hostileGuest() {
        let guests = [0, 1].map { Guest(id: KeyID(UInt32($0)), keys: ManyKeys.all[$0], ports: [22]) }
        let bench = GuestBench(guests) { $0.replayCapacity = 64 }
        var verdicts: [Reason: Int] = [:]
        for isn in 1...500 as ClosedRange<UInt32> {
            let talk = Conversation().with { $0.clientISN = isn }
            verdicts[bench.bench.receive(bench.syn(talk, ManyKeys.all[0])).reason, default: 0] += 1
        }
        #expect(verdicts == [.synAccepted: 48, .guestShareUsed: 452])
        for isn in 1...16 as ClosedRange<UInt32> {
            let talk = Conversation().with { ($0.clientISN, $0.clientPort) = (isn, 7) }
            #expect(bench.bench.receive(bench.syn(talk, ManyKeys.all[1])).reason == .synAccepted)
        }
        bench.bench.wait(seconds: 241)
        let talk = Conversation().with { $0.clientISN = 1000 }
        #expect(bench.bench.receive(bench.syn(talk, ManyKeys.all[0])).reason == .synAccepted)
    }
}
