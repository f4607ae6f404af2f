// SPDX-License-Identifier: GPL-2.0-or-later
import Diagnosis
import TestSupport
import Testing
import Wire

@Suite struct CraftedSegmentTests {
    @Test("What is sent is what was asked for, with right checksums", arguments: IPFamily.allCases)
    func fields(_ family: IPFamily) throws {
        let it = Conversation(family: family)
        var segment = CraftedSegment(
            source: it.client, sourcePort: 40_001, destination: it.server, destinationPort: 22)
        (segment.sequenceNumber, segment.acknowledgmentNumber) = (0x0102_0304, 0xfefd_fcfb)
        (segment.identifier, segment.hopLimit) = (0x1234, 7)
        for flags in [.syn, .rst, [.rst, .ack]] as [TCPFlags] {
            segment.flags = flags
            let bytes = segment.bytes
            let parsed = try ParsedPacket(bytes)
            #expect((parsed.source, parsed.destination) == (it.client, it.server))
            #expect((parsed.sourcePort, parsed.destinationPort) == (40_001, 22))
            #expect((parsed.sequenceNumber, parsed.acknowledgmentNumber) == (0x0102_0304, 0xfefd_fcfb))
            #expect((parsed.flags, parsed.identifier) == (flags, 0x1234))
            #expect(parsed.isComplete && parsed.hasValidTCPChecksum)
            #expect(parsed.totalLength == bytes.count)
            #expect(bytes[family == .ipv4 ? 8 : 7] == 7)
            if family == .ipv4 { #expect(PlainChecksum.sum(Array(bytes.prefix(20))) == 0xffff) }
        }
    }
}
