// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import JSONText
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite struct HandshakeTracerTests {
    @Test("A handshake that works, stage by stage", arguments: Conversation.kinds)
    func works(_ it: Conversation) throws {
        let trace = try #require(
            it.trace([it.syn, it.synACK, it.ack, it.clientData(0, 10), it.serverData(0, 20), it.serverData(20, 5)]))
        #expect(trace.clientISN == Conversation.clientISN)
        guard case .explained(let code)? = trace.syn?.finding else { throw Missing() }
        #expect((code.key, code.mode, code.slotOffset) == ("k", it.mode, 0))
        #expect(code.candidate == AddressCandidate(it.client, .source))
        guard case .explained(let proof)? = trace.synACK?.finding else { throw Missing() }
        #expect((proof.key, proof.mode, proof.trueISN) == ("k", it.mode, it.serverISN))
        #expect(trace.synACK?.capturedISN == it.maskedISN)
        #expect(trace.thirdACK?.finding == .trueISN)
        #expect((trace.client.bytes, trace.server.bytes) == (10, 25))
        #expect((trace.client.repeatedSegments, trace.server.repeatedSegments) == (0, 0))
        #expect(trace.verdict == .works)
    }

    struct Missing: Error {}

    @Test("The published vectors are explained")
    func vectors() throws {
        // docs/vectors.json, "IPv4, full" and "IPv4, full, time off".
        for (code, offset) in [(0xaf00_7680, 0), (0x3fa4_70af, nil)] as [(UInt32, Int?)] {
            let it = Conversation()
            let trace = try #require(
                it.trace([it.syn(code: code), it.synACK(isn: 0xa563_027d, nonce: 0x72a0), it.ack(of: 0x9abc_def0)]))
            guard case .explained(let explanation)? = trace.syn?.finding else { throw Missing() }
            #expect((explanation.mode, explanation.slotOffset) == (.full, offset))
            guard case .explained(let proof)? = trace.synACK?.finding else { throw Missing() }
            #expect(proof.trueISN == 0x9abc_def0)
            #expect(trace.verdict == .complete)
        }
    }

    @Test("Codes of other minutes, as far as they are tried", arguments: [-60, -4, -3, -1, 0, 1, 3, 4, 60])
    func minutes(_ minutes: Int) throws {
        let it = Conversation(minutesAhead: minutes)
        for range in [3, 60] {
            let search = CodeSearch(
                keys: [NamedKey(name: "k", keys: TestKeys.published)], slotOffsets: -range...range)
            let trace = try #require(it.trace([it.syn], search))
            if abs(minutes) <= range {
                guard case .explained(let code)? = trace.syn?.finding else { throw Missing() }
                #expect(code.slotOffset == minutes)
                #expect(trace.verdict == (abs(minutes) <= 1 ? .unanswered : .clock))
            } else {
                #expect(trace.syn?.finding == .unexplained)
                #expect(trace.verdict == .unknownCode)
            }
        }
    }

    @Test("Addresses that codes are bound to", arguments: IPFamily.allCases)
    func bindings(_ family: IPFamily) throws {
        let nat = family == .ipv4 ? IPAddress(203, 0, 113, 7) : IPAddress(high: 0x2001_0db8_0000_0000, low: 0x777)
        let keys = [NamedKey(name: "other", keys: TestKeys.other), NamedKey(name: "k", keys: TestKeys.published)]
        for (address, binding) in [(nil, .source), (nat, .given), (.roaming, .roaming)]
            as [(IPAddress?, AddressBinding)]
        {
            let it = Conversation(family: family, mode: .windowed, boundTo: address)
            let trace = try #require(it.trace([it.syn, it.synACK], CodeSearch(keys: keys, extraAddresses: [nat])))
            guard case .explained(let code)? = trace.syn?.finding, case .explained(let proof)? = trace.synACK?.finding
            else { throw Missing() }
            #expect((code.key, code.candidate.binding) == ("k", binding))
            #expect((proof.key, proof.candidate) == ("k", code.candidate))
        }
        let it = Conversation(family: family, boundTo: nat)
        #expect(it.trace([it.syn])?.syn?.finding == .unexplained)
    }

    @Test("The hint of a right code", arguments: Conversation.kinds)
    func hints(_ it: Conversation) throws {
        let right = KeyHint(keys: TestKeys.published, slot: it.slot).identifier(it.family)
        for (field, finding) in [(right, .right), (0, .absent), (right ^ 1, .other)] as [(UInt32, HintFinding)] {
            let trace = try #require(it.trace([it.syn(code: it.code, identifier: field)]))
            guard case .explained(let code)? = trace.syn?.finding else { throw Missing() }
            #expect(code.hint == finding)
        }
    }

    @Test("What becomes of handshakes", arguments: Conversation.kinds)
    func verdicts(_ it: Conversation) {
        let (plainSYN, plainAnswer) = (it.syn(code: 0), it.synACK(isn: it.serverISN, nonce: 0))
        let wrong = Conversation(family: it.family, mode: it.mode, keys: TestKeys.other)
        let refusal = it.fromServer([.rst, .ack], 0, Conversation.clientISN &+ 1)
        let reset = it.fromClient(.rst, Conversation.clientISN &+ 1, 0)
        let cases: [(TraceVerdict, [[UInt8]])] = [
            (.unanswered, [it.syn, it.syn]), (.uncoded, [plainSYN, plainSYN]), (.unknownCode, [wrong.syn]),
            (.refused, [it.syn, refusal]), (.noThirdACK, [it.syn, it.synACK, it.synACK]),
            (.complete, [it.syn, it.synACK, it.ack]),
            (.notUnmasked, [it.syn, it.synACK, it.ack(of: it.maskedISN)]),
            (.wrongAcknowledgment, [it.syn, it.synACK, it.ack(of: it.serverISN ^ 0x1_0000)]),
            (.stalled, [it.syn, it.synACK, it.ack, it.clientData(0, 4), it.synACK, it.clientData(0, 4)]),
            (.reset, [it.syn, it.synACK, it.ack, it.fromServer(.rst, it.serverISN &+ 1, 0)]),
            (.reset, [it.syn, it.synACK, reset]),
            (.proofFailed, [it.syn, plainAnswer]), (.proofFailed, [it.syn, plainAnswer, it.ack]),
            (.proofFailed, [it.syn, it.synACK(isn: it.maskedISN, nonce: it.nonce ^ 1)]),
            (.proofFailed, [it.syn, it.synACK(isn: it.maskedISN ^ 1, nonce: it.nonce), reset]),
            (.ordinary, [plainSYN, plainAnswer, it.ack, it.serverData(0, 7)]),
            (.ordinary, [it.syn, plainAnswer, it.ack, it.serverData(0, 7)]),
        ]
        for (verdict, packets) in cases {
            #expect(it.trace(packets)?.verdict == verdict, "\(packets.count) packets")
        }
    }

    @Test("A capture that begins with the SYN/ACK", arguments: Conversation.kinds)
    func withoutSYN(_ it: Conversation) throws {
        let trace = try #require(it.trace([it.synACK, it.ack, it.serverData(0, 1)]))
        #expect(trace.syn == nil)
        #expect(trace.clientISN == Conversation.clientISN)
        #expect(trace.verdict == .works)
    }

    @Test("A capture of the client's packets only: what the ACK acknowledges cannot be judged")
    func oneDirection() throws {
        let it = Conversation()
        let trace = try #require(it.trace([it.syn, it.ack]))
        #expect(trace.thirdACK?.finding == .notJudged)
        #expect(trace.verdict == .unanswered)
    }

    @Test("Repeated segments are counted, and are no new handshakes")
    func repetitions() throws {
        let it = Conversation()
        let trace = try #require(
            it.trace([
                it.syn, it.syn, it.syn, it.synACK, it.synACK, it.ack, it.synACK, it.clientData(0, 10),
                it.clientData(0, 10), it.clientData(5, 10),
            ]))
        #expect((trace.repeatedSYNs, trace.repeatedSYNACKs, trace.unheardSYNACKs) == (2, 2, 1))
        #expect((trace.client.bytes, trace.client.repeatedSegments) == (15, 1))
    }

    @Test("The daemon is started between two SYNs")
    func codedLater() throws {
        let it = Conversation()
        let trace = try #require(it.trace([it.syn(code: 0), it.syn, it.syn(code: 0)]))
        guard case .explained? = trace.syn?.finding else { throw Missing() }
        #expect(trace.repeatedSYNs == 2)
    }

    @Test("The same ports with another ISN are another handshake")
    func anotherISN() {
        let it = Conversation()
        let other = it.fromClient(.syn, 7, 0)
        let tracer = it.traced([it.syn, it.synACK, it.ack, other])
        #expect(tracer.handshakes.map(\.verdict) == [.complete, .uncoded])
        #expect(tracer[tracer.handshakes[0].flow]?.clientISN == 7)
    }

    @Test("Memory is bounded; what is no TCP segment is counted")
    func bounds() {
        let it = Conversation()
        var tracer = HandshakeTracer(search: CodeSearch(keys: []), targetPorts: [22], capacity: 3)
        for port in UInt16(1)...10 {
            var packet = TestPacket()
            packet.sourcePort = port
            tracer.take(packet.bytes.span, at: CaptureTime(seconds: 0))
        }
        #expect((tracer.handshakes.count, tracer.ignoredHandshakes, tracer.segments) == (3, 7, 10))
        for junk in [[], [0x45], Array(it.syn.prefix(30)), [UInt8](repeating: 0xff, count: 60)] as [[UInt8]] {
            tracer.take(junk.span, at: CaptureTime(seconds: 0))
        }
        #expect(tracer.unreadablePackets == 4)
        var elsewhere = TestPacket()
        elsewhere.destinationPort = 80
        tracer.take(elsewhere.bytes.span, at: CaptureTime(seconds: 0))
        #expect(tracer.handshakes.count == 3)
    }

    @Test("Random packets and times never trap")
    func random() {
        var generator = SeededGenerator("HandshakeTracerTests.random")
        var tracer = HandshakeTracer(
            search: CodeSearch(keys: [NamedKey(name: "k", keys: TestKeys.published)]), capacity: 100)
        for _ in 0..<3000 {
            var packet = TestPacket()
            packet.sourcePort = .random(in: 1...3, using: &generator)
            packet.destinationPort = .random(in: 1...3, using: &generator)
            if Bool.random(using: &generator) { swap(&packet.source, &packet.destination) }
            packet.sequenceNumber = .random(in: 0...UInt32.max, using: &generator)
            packet.acknowledgmentNumber = .random(in: 0...UInt32.max, using: &generator)
            packet.identifier = .random(in: 0...0xffff, using: &generator)
            packet.flags = TCPFlags(rawValue: .random(in: 0...255, using: &generator))
            packet.payload = generator.bytes(.random(in: 0...5, using: &generator))
            tracer.take(
                packet.bytes.span,
                at: CaptureTime(
                    seconds: [.min, 0, 1_710_000_000, .max].randomElement(using: &generator) ?? 0,
                    nanoseconds: .random(in: .min ... .max, using: &generator)))
        }
        #expect(tracer.segments == 3000)
        for trace in tracer.handshakes {
            #expect(!trace.text.isEmpty)
            #expect(trace.json != .null)
        }
    }

    @Test("Stages for people")
    func text() throws {
        let it = Conversation()
        let text = try #require(it.trace([it.syn, it.synACK, it.ack, it.serverData(0, 7)])?.text)
        #expect(
            text == """
                192.0.2.10:40000 -> 198.51.100.22:22
                  +0.000000  SYN     right code of key 'k', full mask, of this minute, bound to the source address, hint absent
                  +1.000000  SYN/ACK proof right of key 'k', true ISN 9abcdef0, masked (full) a563027d
                  +2.000000  ACK     acknowledges the true ISN
                  after:     server 7 bytes
                  verdict:   works: the knock works: the server took the third ACK and went on

                """)
    }
}
