// SPDX-License-Identifier: GPL-2.0-or-later
internal import Capture
internal import Diagnosis
internal import JSONText
internal import TestSupport
internal import Wire

/// Frames of a capture, each behind its length: link layers, segments, ICMP errors, and what is told of handshakes.
enum CaptureTarget {
    private static let search = CodeSearch(keys: [NamedKey(name: "k", keys: TestKeys.published)])

    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        var reader = InputReader(input)
        let link = reader.choice(LinkLayer.allCases)
        var tracer = HandshakeTracer(search: search, capacity: 4)
        var seconds: Int64 = 1_710_000_000
        while !reader.isAtEnd {
            let frame = reader.bytes(Int(reader.uint8()))
            seconds += 1
            let span = frame.span
            guard let offset = link.ipOffset(in: span) else { continue }
            try hold(offset < frame.count, "IP begins at \(offset) of \(frame.count)")
            let packet = span.extracting(offset..<frame.count)
            let time = CaptureTime(seconds: seconds)
            _ = ICMPQuote(packet)
            tracer.take(packet, at: time)
        }
        try hold(tracer.handshakes.count <= 4, "\(tracer.handshakes.count) handshakes are kept")
        for handshake in tracer.handshakes { _ = (handshake.text, handshake.json) }
    }
}
