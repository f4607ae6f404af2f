// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import Wire

/// What a probe sends and sees.
final class ProbeTraffic {
    /// How much is kept of what somebody else may send; a probe needs some hundred.
    private static let capacity = 4096

    /// The handshakes so far.
    private(set) var tracer: HandshakeTracer
    /// SYN/ACKs and RSTs of the server.
    private(set) var answers: [CapturedSegment] = []
    /// ICMP errors.
    private(set) var quotes: [ICMPQuote] = []

    private let capture: LiveCapture
    private let sender: RawSender
    private let route: Route
    private let port: UInt16

    init(_ route: Route, port: UInt16, search: CodeSearch, boundTo interface: String?) throws(CaptureError) {
        self.route = route
        self.port = port
        tracer = HandshakeTracer(search: search, targetPorts: [port], capacity: Self.capacity)
        capture = try LiveCapture(
            interface: route.interface, filter: LiveCapture.filter(to: route.remote, port: port))
        sender = try RawSender(family: route.remote.family, interface: interface)
    }

    /// Sends a segment to the server.
    func send(from localPort: UInt16, _ fill: (inout CraftedSegment) -> Void) {
        var segment = CraftedSegment(
            source: route.local, sourcePort: localPort, destination: route.remote, destinationPort: port)
        fill(&segment)
        sender.send(segment)
    }

    /// Ends a half-open connection: a RST is judged by its sequence number alone, and locks nobody out.
    func reset(_ synACK: CapturedSegment) {
        send(from: synACK.destinationPort) { segment in
            segment.flags = .rst
            segment.sequenceNumber = synACK.acknowledgmentNumber
        }
    }

    /// Captures for some time, or until a condition holds.
    ///
    /// - Returns: Whether it holds.
    @discardableResult
    func wait(_ seconds: Double, until condition: () throws(CaptureError) -> Bool) throws(CaptureError) -> Bool {
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
