// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: the SYN") struct ServerSYNTests {
    private static let accepted = Verdict(.accept, .synAccepted)
    private static let wrongCode = Verdict(.drop, .synWithWrongCode)

    @Test("A right code begins a handshake", arguments: Conversation.kinds)
    func rightCode(_ conversation: Conversation) {
        let bench = ServerBench()
        #expect(bench.begin(conversation) == Self.accepted)
        #expect(bench.engine.handshakeCount == 1)
        #expect(bench.events() == [Noted(conversation.flow, .synAccepted, conversation.mode)])
    }

    @Test(
        "Flags beside SYN do not matter", arguments: [[], .ece, .cwr, [.ece, .cwr], .psh, .urg] as [TCPFlags])
    func otherFlags(_ flags: TCPFlags) {
        let bench = ServerBench()
        let syn = Conversation().syn(bench.now.slot, flags: flags.union(.syn))
        #expect(bench.receive(syn) == Self.accepted)
    }

    @Test("A SYN with data is dropped and uses up nothing; the one without, which the client sends then, gets in")
    func data() {
        let bench = ServerBench()
        let conversation = Conversation()
        let withData = Verdict(.drop, .synWithData)
        #expect(bench.receive(conversation.syn(bench.now.slot, payload: [1, 2, 3])) == withData)
        #expect(bench.engine.handshakeCount == 0)
        #expect(bench.begin(conversation) == Self.accepted)
        #expect(bench.receive(conversation.syn(bench.now.slot, payload: [1, 2, 3])) == withData)
        // Nor is there a RST, at which the client would give up.
        let closed = ServerBench { $0.looksClosed = true }
        #expect(closed.receive(conversation.syn(closed.now.slot, payload: [1, 2, 3])) == withData)
    }

    @Test("A SYN with data gets in where Fast Open is wanted, even if only its beginning was copied")
    func fastOpen() {
        let bench = ServerBench { $0.acceptsFastOpen = true }
        let conversation = Conversation()
        #expect(bench.receive(conversation.syn(bench.now.slot, payload: [1, 2, 3])) == Self.accepted)
        let other = conversation.with { $0.clientISN = 2 }
        let long = other.syn(bench.now.slot, payload: [UInt8](repeating: 7, count: 1000))
        #expect(bench.receive(Array(long.prefix(512))) == Self.accepted)
    }

    @Test("A SYN with a wrong checksum uses up nothing", arguments: Conversation.kinds)
    func wrongChecksum(_ conversation: Conversation) {
        let bench = ServerBench()
        let syn = conversation.syn(bench.now.slot)
        let urgentPointer = (conversation.client.family == .ipv4 ? 20 : 40) + 18
        #expect(bench.receive(syn.flipping(bit: urgentPointer * 8)) == Verdict(.drop, .synDamaged))
        #expect(bench.engine.handshakeCount == 0)
        #expect(bench.receive(syn) == Self.accepted)
        #expect(bench.receive(syn.flipping(bit: urgentPointer * 8)) == Verdict(.drop, .synDamaged))
    }

    @Test("No code", arguments: Conversation.kinds)
    func withoutCode(_ conversation: Conversation) {
        let bench = ServerBench()
        #expect(bench.receive(conversation.plainSYN) == Verdict(.drop, .synWithoutCode))
        #expect(bench.engine.handshakeCount == 0)
        #expect(bench.events() == [])
    }

    @Test("A code with a bit flipped", arguments: 0..<32)
    func flippedCode(_ bit: UInt32) {
        let bench = ServerBench()
        let conversation = Conversation()
        let code = conversation.code(bench.now.slot) ^ 1 << bit
        let syn = conversation.fromClient(sequence: conversation.clientISN, acknowledgment: code, .syn)
        #expect(bench.receive(syn) == Self.wrongCode)
        #expect(bench.engine.handshakeCount == 0)
    }

    @Test("A code of somebody else", arguments: Conversation.kinds)
    func codeOfSomebodyElse(_ conversation: Conversation) {
        let bench = ServerBench()
        let slot = bench.now.slot
        let code = conversation.code(slot)
        // Another key.
        #expect(bench.receive(conversation.syn(slot, keys: TestKeys.other)) == Self.wrongCode)
        // Another ISN.
        let otherISN = conversation.fromClient(sequence: conversation.clientISN &+ 1, acknowledgment: code, .syn)
        #expect(bench.receive(otherISN) == Self.wrongCode)
        // Another address.
        let neighbour = conversation.with { $0.client = IPAddress(high: $0.client.high, low: $0.client.low ^ 1) }
        let otherAddress = neighbour.fromClient(sequence: conversation.clientISN, acknowledgment: code, .syn)
        #expect(bench.receive(otherAddress) == Self.wrongCode)
        #expect(bench.engine.handshakeCount == 0)
        #expect(bench.events() == [])
    }

    @Test("Codes of neighbouring slots are right, of others not", arguments: -5...5, [0, 29, 59])
    func slots(_ offset: Int, _ second: Int64) {
        let bench = ServerBench()
        let first = Int64(bench.now.slot.number) * 60
        bench.now.unixSeconds = first + second
        let slot = TimeSlot(unixSeconds: first + Int64(offset) * 60)
        let verdict = bench.receive(Conversation().syn(slot))
        #expect(verdict == ((-1...1).contains(offset) ? Self.accepted : Self.wrongCode))
    }

    @Test("The first slots of time have their neighbours too", arguments: [0, 59, 60], [0, 1, 2, 3] as [UInt64])
    func slotsAtTheBeginningOfTime(_ second: Int64, _ number: UInt64) {
        let bench = ServerBench()
        bench.now.unixSeconds = second
        let isNear = number <= UInt64(second) / 60 + 1
        #expect(
            bench.receive(Conversation().syn(TimeSlot(number: number))) == (isNear ? Self.accepted : Self.wrongCode))
    }

    @Test("Both modes are understood, in each slot", arguments: MaskMode.allCases, [-60, 0, 60])
    func modeInEachSlot(_ mode: MaskMode, _ seconds: Int64) {
        let bench = ServerBench()
        let conversation = Conversation(.ipv4, mode)
        let slot = TimeSlot(unixSeconds: bench.now.unixSeconds + seconds)
        #expect(bench.receive(conversation.syn(slot)) == Self.accepted)
        #expect(bench.events() == [Noted(conversation.flow, .synAccepted, mode)])
    }

    @Test("Without time the code of slot 0 is right at any time", arguments: [Int64.min, 0, 1_710_000_030, Int64.max])
    func withoutTime(_ seconds: Int64) {
        let bench = ServerBench { $0.usesTime = false }
        bench.now.unixSeconds = seconds
        #expect(bench.receive(Conversation().syn(.timeless)) == Self.accepted)
        #expect(
            bench.receive(Conversation().with { $0.clientISN = 2 }.syn(TimeSlot(number: 28_500_000))) == Self.wrongCode)
    }

    @Test func timelessCodeIsWrongWhereTimeCounts() {
        #expect(ServerBench().receive(Conversation().syn(.timeless)) == Self.wrongCode)
    }

    @Test("Other ports", arguments: [0, 21, 23, 2222, 65535] as [UInt16])
    func otherPort(_ port: UInt16) {
        let bench = ServerBench()
        let conversation = Conversation().with { $0.serverPort = port }
        #expect(bench.begin(conversation) == Verdict(.drop, .otherPort))
    }

    @Test("Each of several protected ports", arguments: [22, 443, 65535] as [UInt16])
    func severalPorts(_ port: UInt16) {
        let bench = ServerBench { $0.targetPorts = [22, 443, 65535] }
        #expect(bench.begin(Conversation().with { $0.serverPort = port }) == Self.accepted)
    }

    @Test("Bytes that are no TCP segment are dropped", arguments: WireErrorPacket.all)
    func wireErrors(_ packet: WireErrorPacket) {
        let bench = ServerBench()
        #expect(bench.receive(packet.bytes) == Verdict(.drop, packet.reason))
        #expect(bench.send(packet.bytes).verdict == Verdict(.drop, packet.reason))
        #expect(bench.engine.counters[packet.reason] == 2)
    }
}
