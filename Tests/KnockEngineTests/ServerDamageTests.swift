// SPDX-License-Identifier: GPL-2.0-or-later
import KnockEngine
import KnockProtocol
import TestSupport
import Testing
import Wire

@Suite("Server: packets cut short or with a bit flipped") struct ServerDamageTests {
    /// Where the parts of a packet lie, in bytes.
    private struct Places {
        let source: Range<Int>
        let destination: Range<Int>
        let transport: Int

        init(_ family: IPFamily) {
            (source, destination, transport) = family == .ipv4 ? (12..<16, 16..<20, 20) : (8..<24, 24..<40, 40)
        }

        var sourcePort: Range<Int> { transport..<transport + 2 }
        var destinationPort: Range<Int> { transport + 2..<transport + 4 }
        var sequenceNumber: Range<Int> { transport + 4..<transport + 8 }
        var acknowledgmentNumber: Range<Int> { transport + 8..<transport + 12 }
        /// CWR, ECE, URG and PSH are the bits 0, 1, 2 and 4 of this byte; the others decide.
        func isDecidingFlag(_ bit: Int) -> Bool { bit / 8 == transport + 13 && ![0, 1, 2, 4].contains(bit % 8) }
    }

    @Test("A SYN: its code is over the client's address and ISN, and nothing else", arguments: Conversation.kinds)
    func flippedSYN(_ conversation: Conversation) {
        let places = Places(conversation.client.family)
        let syn = conversation.syn(ServerBench().now.slot)
        for bit in 0..<syn.count * 8 {
            let bench = ServerBench()
            let verdict = bench.receive(syn.flipping(bit: bit))
            #expect(verdict.action != .acceptAsVerified, "bit \(bit)")
            let byte = bit / 8
            if places.source.contains(byte) || places.sequenceNumber.contains(byte)
                || places.acknowledgmentNumber.contains(byte)
            {
                #expect(verdict == Verdict(.drop, .synWithWrongCode), "bit \(bit)")
            } else if places.destinationPort.contains(byte) {
                #expect(verdict == Verdict(.drop, .otherPort), "bit \(bit)")
            } else if places.isDecidingFlag(bit) {
                #expect(verdict == Verdict(.drop, .impossibleFlags), "bit \(bit)")
            } else {
                // Not authenticated: the other fields, as far as the packet is still one and its checksum right. (That of
                // IPv4 headers is the kernel's business. The length of a header tells data from options.)
                #expect(
                    [.synAccepted, .synDamaged, .synWithData, .malformed, .truncated, .fragment, .notTCP].contains(
                        verdict.reason), "bit \(bit)")
            }
        }
    }

    @Test("A SYN/ACK: none that is not of the handshake goes out", arguments: Conversation.kinds)
    func flippedSYNACK(_ conversation: Conversation) {
        let places = Places(conversation.client.family)
        let bench = ServerBench()
        bench.begin(conversation)
        let synAck = conversation.synAck()
        for bit in 0..<synAck.count * 8 {
            let verdict = bench.send(synAck.flipping(bit: bit)).verdict
            let byte = bit / 8
            if places.source.contains(byte) || places.destination.contains(byte)
                || places.destinationPort.contains(byte)
            {
                #expect(verdict == Verdict(.drop, .synAckWithoutHandshake), "bit \(bit)")
            } else if places.sourcePort.contains(byte) {
                #expect(verdict == Verdict(.drop, .otherPort), "bit \(bit)")
            } else if places.isDecidingFlag(bit) {
                #expect(verdict == Verdict(.drop, .otherSegment), "bit \(bit)")
            } else if verdict.action != .drop {
                #expect(verdict.reason == .synAckMasked, "bit \(bit)")
            } else {
                #expect(
                    [.malformed, .truncated, .fragment, .notTCP, .incompleteCopy].contains(verdict.reason), "bit \(bit)"
                )
            }
        }
    }

    @Test("A third ACK: it is verified by both numbers and the ends, and nothing else", arguments: Conversation.kinds)
    func flippedThirdACK(_ conversation: Conversation) {
        let places = Places(conversation.client.family)
        let third = conversation.thirdACK
        for bit in 0..<third.count * 8 {
            let bench = ServerBench()
            bench.answer(conversation)
            let verdict = bench.receive(third.flipping(bit: bit))
            let byte = bit / 8
            if places.source.contains(byte) || places.destination.contains(byte) || places.sourcePort.contains(byte) {
                #expect(verdict == Verdict(.drop, .segmentWithoutHandshake), "bit \(bit)")
            } else if places.destinationPort.contains(byte) {
                #expect(verdict == Verdict(.drop, .otherPort), "bit \(bit)")
            } else if places.sequenceNumber.contains(byte) {
                #expect(verdict == Verdict(.drop, .segmentOutOfSequence), "bit \(bit)")
            } else if places.acknowledgmentNumber.contains(byte) {
                // The checksum tells damage from a guess.
                #expect(verdict == Verdict(.drop, .segmentDamaged), "bit \(bit)")
            } else {
                // Not authenticated. RST with the right sequence number and a wrong checksum counts as damage.
                #expect(
                    [
                        .acknowledgmentVerified, .segmentDamaged, .impossibleFlags, .malformed, .truncated, .fragment,
                        .notTCP,
                    ].contains(verdict.reason), "bit \(bit)")
                #expect((verdict.action == .acceptAsVerified) == (verdict.reason == .acknowledgmentVerified))
            }
        }
    }

    @Test("Cut short anywhere", arguments: Conversation.kinds)
    func truncation(_ conversation: Conversation) {
        let bench = ServerBench()
        let syn = conversation.syn(bench.now.slot)
        for length in 0..<syn.count {
            #expect(bench.receive(Array(syn.prefix(length))) == Verdict(.drop, .truncated), "\(length) bytes")
        }
        bench.begin(conversation)
        let synAck = conversation.synAck()
        for length in 0..<synAck.count {
            #expect(bench.send(Array(synAck.prefix(length))).verdict == Verdict(.drop, .truncated), "\(length) bytes")
        }
        _ = bench.send(synAck)
        let third = conversation.thirdACK
        for length in 0..<third.count {
            #expect(bench.receive(Array(third.prefix(length))) == Verdict(.drop, .truncated), "\(length) bytes")
        }
        #expect(bench.receive(third).reason == .acknowledgmentVerified)
    }
}
