// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import Linux
internal import Wire

/// The traffic of a probe.
final class ProbeTraffic {
    /// The most handshakes, answers and ICMP errors that are kept, because others can send them too.
    ///
    /// A probe needs a few hundred.
    private static let capacity = 4096

    /// The handshakes so far.
    private(set) var tracer: HandshakeTracer
    /// The SYN/ACKs and RSTs of the server.
    private(set) var answers: [CapturedSegment] = []
    /// The ICMP errors about segments to the server.
    private(set) var quotes: [ICMPQuote] = []

    private let capture: LiveCapture
    private let sender: SegmentSender
    private let route: Route
    private let port: UInt16

    init(_ route: Route, port: UInt16, search: CodeSearch, boundTo interface: String?) throws(FatalError) {
        self.route = route
        self.port = port
        tracer = HandshakeTracer(search: search, targetPorts: [port], capacity: Self.capacity)
        capture = try LiveCapture(
            interface: route.interface, filter: LiveCapture.filter(to: route.remote, port: port))
        sender = try SegmentSender(family: route.remote.family, interface: interface)
    }

    /// Sends a segment to the server.
    func send(from localPort: UInt16, _ fill: (inout CraftedSegment) -> Void) {
        var segment = CraftedSegment(
            source: route.local, sourcePort: localPort, destination: route.remote, destinationPort: port)
        fill(&segment)
        sender.send(segment)
    }

    /// Ends a half-open connection with a RST.
    ///
    /// The server judges it by its sequence number alone, so it locks nobody out.
    func reset(_ synACK: CapturedSegment) {
        send(from: synACK.destinationPort) { segment in
            segment.flags = .rst
            segment.sequenceNumber = synACK.acknowledgmentNumber
        }
    }

    /// Captures packets for some seconds, or until a condition holds.
    ///
    /// - Returns: Whether the condition holds.
    @discardableResult
    func wait(_ seconds: Double, until condition: () throws(FatalError) -> Bool) throws(FatalError) -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            if try condition() { return true }
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero else { return false }
            let milliseconds = Int32(min(rest, .milliseconds(100)) / .milliseconds(1)) + 1
            try capture.receive(milliseconds: milliseconds) { take($0, at: $1) }
        }
    }

    private func take(_ bytes: Span<UInt8>, at time: CaptureTime) {
        if let quote = ICMPQuote(bytes) {
            if quote.destination == route.remote, quotes.count < Self.capacity { quotes.append(quote) }
            return
        }
        guard let segment = try? CapturedSegment(bytes, at: time) else { return }
        tracer.take(segment)
        let isAnswer = segment.flags.isSYNACK || segment.flags.contains(.rst)
        if isAnswer, segment.source == route.remote, segment.sourcePort == port, answers.count < Self.capacity {
            answers.append(segment)
        }
    }
}
