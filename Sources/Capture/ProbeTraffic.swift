// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import Glibc
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
        let end = Self.uptime() + seconds
        while true {
            if try condition() { return true }
            let rest = end - Self.uptime()
            guard rest > 0 else { return false }
            try capture.receive(milliseconds: Int32(min(rest, 0.1) * 1000) + 1) { take($0, at: $1) }
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

    /// Seconds of a clock that nobody sets.
    private static func uptime() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
