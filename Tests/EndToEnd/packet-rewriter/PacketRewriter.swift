// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import TestSupport
internal import Wire

/// Rewrites packets for a comparison with another implementation.
///
/// Each line of standard input is a packet and what to put into it: sequence number, acknowledgment number, nonce field
/// (decimal, `-` for what stays) and the packet in hexadecimal digits. The answer is a line, too: whether the TCP
/// checksum was right (`right` or `wrong`), the packet afterwards, and what a closed port would answer, or `-`; or
/// `none` and the error, if it is no TCP segment.
@main struct PacketRewriter {
    static func main() {
        while let line = readLine() { print(answer(line.split(separator: " ").map(String.init))) }
    }

    private static func answer(_ words: [String]) -> String {
        guard words.count == 4 else {
            print("four words are expected")
            exit(64)
        }
        let rewrite = HeaderRewrite(
            sequenceNumber: UInt32(words[0]), acknowledgmentNumber: UInt32(words[1]), identifier: UInt32(words[2]))
        var bytes = [UInt8](hex: words[3])
        let (layout, isRight, reset): (PacketLayout, Bool, String)
        do throws(WireError) {
            let packet = try Packet(validating: bytes.span)
            (layout, isRight) = (packet.layout, packet.hasValidTCPChecksum)
            var answer = [UInt8](repeating: 0xff, count: ResetSegment.maximumLength)
            var span = answer.mutableSpan
            let length = ResetSegment.write(answering: packet, hops: (64, 64), flowLabel: 0, to: &span)
            reset = length.map { Array(answer[..<$0]).hex } ?? "-"
        } catch {
            return "none \(error)"
        }
        var span = bytes.mutableSpan
        rewrite.apply(to: &span, layout: layout)
        return "\(isRight ? "right" : "wrong") \(bytes.hex) \(reset)"
    }
}
