// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: the lockout") struct ServerLockoutTests {
    private static let lockedOut = Verdict(.drop, .lockedOut)
    private static let accepted = Verdict(.accept, .synAccepted)

    @Test("It lasts as long as configured, to the millisecond", arguments: [1, 60, 120, 86_400] as [UInt32])
    func duration(_ seconds: UInt32) {
        let bench = ServerBench { $0.lockoutSeconds = seconds }
        bench.lockOut(Conversation())
        let next = Conversation().with { $0.clientISN = 1 }
        #expect(bench.begin(next) == Self.lockedOut)
        bench.now.unixSeconds += Int64(seconds)
        bench.now.uptime += UInt64(seconds) * 1000 - 1
        #expect(bench.isLockedOut(next.client))
        #expect(bench.begin(next) == Self.lockedOut)
        bench.now.uptime += 1
        #expect(!bench.isLockedOut(next.client))
        #expect(bench.begin(next) == Self.accepted)
    }

    @Test("Nothing that arrives meanwhile makes it longer")
    func notExtended() {
        let bench = ServerBench()
        bench.lockOut(Conversation())
        for index in UInt32(0)..<119 {
            bench.wait(seconds: 1)
            let conversation = Conversation().with { $0.clientISN = 100 + index }
            #expect(bench.begin(conversation) == Self.lockedOut)
            #expect(bench.send(conversation.synAck()).verdict == Self.lockedOut)
            #expect(bench.receive(conversation.acknowledging(1)) == Self.lockedOut)
        }
        bench.wait(seconds: 1)
        #expect(bench.begin(Conversation().with { $0.clientISN = 7 }) == Self.accepted)
    }

    @Test("All handshakes of the address are forgotten, and their SYN/ACKs dropped", arguments: Conversation.kinds)
    func handshakesOfTheAddress(_ conversation: Conversation) {
        let bench = ServerBench()
        let others = (UInt16(1)...5).map { index in
            conversation.with { ($0.clientPort, $0.clientISN) = (index, UInt32(index)) }
        }
        for other in others { bench.answer(other) }
        bench.lockOut(conversation)
        for other in others {
            #expect(bench.receive(other.thirdACK) == Self.lockedOut)
            #expect(bench.send(other.synAck()).verdict == Self.lockedOut)
        }
        // Nor do they come back when the lockout is over, however late a retransmission comes.
        bench.wait(seconds: 120)
        for seconds in [0, 1, 30, 29, 60] as [Int64] {
            bench.wait(seconds: seconds)
            for other in others {
                #expect(bench.receive(other.thirdACK) == Verdict(.drop, .segmentWithoutHandshake))
                #expect(bench.receive(other.reset()) == Verdict(.drop, .segmentWithoutHandshake))
                #expect(bench.send(other.synAck()).verdict == Verdict(.drop, .synAckWithoutHandshake))
            }
        }
    }

    @Test("Segments of a connection just verified are dropped too")
    func verifiedConnection() {
        let bench = ServerBench()
        let good = Conversation().with { ($0.clientPort, $0.clientISN) = (1, 1) }
        bench.verify(good)
        bench.lockOut(Conversation())
        #expect(bench.receive(good.thirdACK) == Self.lockedOut)
    }

    @Test(
        "Whatever the address sends is dropped",
        arguments: [.ack, .rst, [.rst, .ack], .fin, [.syn, .fin], []] as [TCPFlags])
    func otherSegments(_ flags: TCPFlags) {
        let bench = ServerBench()
        bench.lockOut(Conversation())
        let segment = Conversation().fromClient(sequence: 5, acknowledgment: 6, flags)
        #expect(bench.receive(segment) == Self.lockedOut)
    }

    @Test("A SYN without a code is that first") func ordinarySYN() {
        let bench = ServerBench()
        bench.lockOut(Conversation())
        #expect(bench.receive(Conversation().plainSYN) == Verdict(.drop, .synWithoutCode))
    }

    @Test("When it is over, a new handshake of the same ends goes as ever")
    func sameEndsAgain() {
        let bench = ServerBench()
        bench.answer(Conversation())
        bench.lockOut(Conversation().with { ($0.clientPort, $0.clientISN) = (1, 1) })
        bench.wait(seconds: 120)
        let next = Conversation().with { $0.clientISN = 2 }
        #expect(bench.verify(next) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
    }

    @Test("A second lockout lasts as long as the first")
    func again() {
        let bench = ServerBench()
        bench.lockOut(Conversation())
        bench.wait(seconds: 150)
        bench.lockOut(Conversation().with { $0.clientISN = 2 })
        bench.wait(seconds: 119)
        #expect(bench.isLockedOut(Conversation().client))
        bench.wait(seconds: 1)
        #expect(!bench.isLockedOut(Conversation().client))
    }

    @Test("Other addresses are not affected", arguments: Conversation.kinds)
    func otherAddresses(_ conversation: Conversation) {
        let bench = ServerBench()
        let neighbour = conversation.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 1) }
        bench.answer(neighbour)
        bench.lockOut(conversation)
        #expect(bench.receive(neighbour.thirdACK) == Verdict(.acceptAsVerified, .acknowledgmentVerified))
        #expect(bench.begin(neighbour.with { $0.clientISN = 3 }) == Self.accepted)
    }

    @Test("It holds for all protected ports and addresses of the server")
    func otherPorts() {
        let bench = ServerBench { $0.targetPorts = [22, 443] }
        bench.lockOut(Conversation())
        let other = Conversation().with { ($0.serverPort, $0.server) = (443, IPAddress(198, 51, 100, 99)) }
        #expect(bench.begin(other) == Self.lockedOut)
    }

    @Test("Setting the clock does not change it")
    func clockSet() {
        let bench = ServerBench()
        bench.lockOut(Conversation())
        bench.now.unixSeconds += 86_400
        #expect(bench.begin(Conversation().with { $0.clientISN = 3 }) == Self.lockedOut)
    }

    @Test("Where more addresses are locked out than there is room for, the first is free first")
    func tableFull() {
        let bench = ServerBench { $0.lockoutCapacity = 2 }
        let all = (UInt8(1)...3).map { index in Conversation().with { $0.client = IPAddress(192, 0, 2, index) } }
        for conversation in all {
            bench.lockOut(conversation)
            bench.wait(seconds: 1)
        }
        #expect(all.map { bench.isLockedOut($0.client) } == [false, true, true])
    }
}
