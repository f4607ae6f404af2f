// SPDX-License-Identifier: GPL-2.0-or-later
internal import TestSupport

@testable import Wire

/// Packets: nothing traps, a rewrite changes its fields and the checksums over them, and the answer of a closed port is
/// right.
///
/// The first bytes of an input say what to do, the others are the packet.
enum PacketTarget {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        var reader = InputReader(input)
        let control = reader.uint8()
        let (sequence, acknowledgment, nonce) = (reader.uint32(), reader.uint32(), reader.uint32())
        let rewrite = HeaderRewrite(
            sequenceNumber: control & 1 != 0 ? sequence : nil,
            acknowledgmentNumber: control & 2 != 0 ? acknowledgment : nil, identifier: control & 4 != 0 ? nonce : nil)
        var bytes = reader.rest
        guard let before = try? ParsedPacket(bytes) else { return }
        if control & 8 != 0, before.isComplete {
            PlainChecksum.correct(&bytes, before)
            try hold(
                (try? ParsedPacket(bytes))?.hasValidTCPChecksum == true, "a right checksum is taken for a wrong one")
        }
        try checkRewrite(rewrite, bytes)
        try checkReset(bytes)
    }

    private static func checkRewrite(_ rewrite: HeaderRewrite, _ original: [UInt8]) throws(Violation) {
        guard let before = try? ParsedPacket(original) else { throw Violation("a packet is one no longer") }
        try hold(before.transportOffset + before.headerLength <= original.count, "headers beyond the end")
        try hold(
            before.hasValidTCPChecksum == PlainChecksum.holdsForSegment(original, before), "a checksum judged wrongly")
        var bytes = original
        var span = bytes.mutableSpan
        rewrite.apply(
            to: &span,
            layout: PacketLayout(
                family: before.family, transportOffset: before.transportOffset, totalLength: before.totalLength))
        guard let after = try? ParsedPacket(bytes) else { throw Violation("a rewritten packet is none") }
        var expected = before
        let label: UInt32 = before.family == .ipv4 ? 0xffff : 0xf_ffff
        if let number = rewrite.sequenceNumber { expected.sequenceNumber = number }
        if let number = rewrite.acknowledgmentNumber { expected.acknowledgmentNumber = number }
        if let nonce = rewrite.identifier { expected.identifier = nonce & label }
        expected.checksum = after.checksum
        try hold(after == expected, "\(after) instead of \(expected)")
        if before.family == .ipv4 {
            try hold(PlainChecksum.ofHeader(original) == PlainChecksum.ofHeader(bytes), "the IPv4 header checksum")
        }
        if before.isComplete {
            try hold(
                PlainChecksum.ofSegment(original, before) == PlainChecksum.ofSegment(bytes, after), "the TCP checksum")
        }
        for index in bytes.indices where bytes[index] != original[index] {
            try hold(mayChange(index, before), "byte \(index) has changed")
        }
    }

    /// Whether a byte belongs to a field that can be rewritten, or to a checksum over one.
    private static func mayChange(_ index: Int, _ packet: ParsedPacket) -> Bool {
        switch index - packet.transportOffset {
        case 4..<12, 16..<18: true
        default: packet.family == .ipv4 ? [4, 5, 10, 11].contains(index) : (1..<4).contains(index)
        }
    }

    private static func checkReset(_ bytes: [UInt8]) throws(Violation) {
        var answer = [UInt8](repeating: 0xff, count: ResetSegment.maximumLength)
        guard let packet = try? Packet(validating: bytes.span) else { return }
        var span = answer.mutableSpan
        guard let length = ResetSegment.write(answering: packet, hops: (64, 64), flowLabel: 0xf_ffff, to: &span) else {
            return try hold(
                packet.segment.flags.contains(.rst) || !packet.hasValidTCPChecksum, "no answer where one is due")
        }
        guard let reset = try? ParsedPacket(Array(answer[..<length])) else {
            throw Violation("the answer is no packet")
        }
        try hold(reset.totalLength == length && reset.isComplete && reset.hasValidTCPChecksum, "\(reset)")
        try hold(reset.source == packet.destination && reset.destination == packet.source, "the addresses of \(reset)")
        try hold(
            reset.sourcePort == packet.segment.destinationPort && reset.destinationPort == packet.segment.sourcePort,
            "the ports of \(reset)")
        try hold(reset.flags.contains(.rst) && !reset.flags.contains(.syn), "the flags of \(reset)")
        if reset.family == .ipv4 {
            try hold(PlainChecksum.ofHeader(answer) == 0xffff, "the IPv4 header checksum of the answer")
        }
        // RFC 9293 §3.10.7.1.
        if packet.segment.flags.contains(.ack) {
            try hold(reset.sequenceNumber == packet.segment.acknowledgmentNumber, "the sequence number of \(reset)")
        } else {
            let payload = packet.layout.totalLength - packet.layout.transportOffset - packet.segment.headerLength
            let flags = packet.segment.flags
            let length = payload + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
            try hold(
                reset.sequenceNumber == 0 && reset.flags.contains(.ack)
                    && reset.acknowledgmentNumber == packet.segment.sequenceNumber &+ UInt32(length),
                "what \(reset) acknowledges")
        }
    }
}
