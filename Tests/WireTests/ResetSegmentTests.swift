// SPDX-License-Identifier: GPL-2.0-or-later
import TestSupport
import Testing
import Wire

@Suite struct ResetSegmentTests {
    /// The answer to a packet; nil if there is none.
    private func answer(_ bytes: [UInt8], flowLabel: UInt32 = 0xabcde) throws -> [UInt8]? {
        var answer = [UInt8](repeating: 0xff, count: ResetSegment.maximumLength)
        let packet = try Packet(validating: bytes.span)
        var span = answer.mutableSpan
        guard
            let length = ResetSegment.write(answering: packet, hops: (61, 62), flowLabel: flowLabel, to: &span)
        else { return nil }
        return Array(answer.prefix(length))
    }

    @Test("An answer is a whole packet, the other way", arguments: LiteralPacket.all)
    func isWellFormed(_ literal: LiteralPacket) throws {
        let packet = try Packet(validating: literal.bytes.span)
        guard !packet.segment.flags.contains(.rst) else {
            #expect(try answer(literal.bytes) == nil)
            return
        }
        let bytes = try #require(try answer(literal.bytes))
        let reset = try Packet(validating: bytes.span)
        #expect(reset.isComplete && reset.hasValidTCPChecksum && reset.layout.totalLength == bytes.count)
        #expect(reset.source == packet.destination && reset.destination == packet.source)
        #expect(reset.segment.sourcePort == packet.segment.destinationPort)
        #expect(reset.segment.destinationPort == packet.segment.sourcePort)
        #expect(reset.segment.flags.contains(.rst))
        #expect(reset.trafficClass == packet.trafficClass & 0xfc)
        #expect(reset.identifier == (reset.layout.family == .ipv4 ? 0 : 0xabcde))
        #expect(bytes[reset.layout.family == .ipv4 ? 8 : 7] == (reset.layout.family == .ipv4 ? 61 : 62))
        if packet.segment.flags.contains(.ack) {
            #expect(reset.segment.sequenceNumber == packet.segment.acknowledgmentNumber)
            #expect(reset.segment.acknowledgmentNumber == 0 && !reset.segment.flags.contains(.ack))
        } else {
            #expect(reset.segment.sequenceNumber == 0 && reset.segment.flags.contains(.ack))
        }
    }

    @Test("The service class is kept, the bits for congestion are not")
    func serviceClass() throws {
        var bytes = LiteralPacket.ipv6SYN.bytes
        (bytes[0], bytes[1]) = (0x6b, 0x70 | bytes[1] & 0x0f)
        let reset = try #require(try answer(bytes))
        #expect(Array(reset.prefix(4)) == [0x6b, 0x4a, 0xbc, 0xde])
    }

    @Test("A RST and a damaged segment get no answer")
    func silence() throws {
        #expect(try answer(LiteralPacket.ipv4SYN.bytes.flipping(bit: 20 * 8)) == nil)
        let reset = try #require(try answer(LiteralPacket.ipv4SYN.bytes))
        #expect(try answer(reset) == nil)
    }
}
