// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
package import Wire

/// A tracer that assembles the packets of a capture into handshakes.
///
/// It does no I/O and uses no clock: packets arrive in order, with the times of the capture. `capacity` bounds its
/// memory.
package struct HandshakeTracer: Sendable {
    /// The handshakes so far, in the order of their first packets.
    package private(set) var handshakes: [HandshakeTrace] = []
    /// The number of TCP segments that would have begun another handshake when there was no room.
    package private(set) var ignoredHandshakes = 0
    /// The number of packets that were not complete TCP segments: fragments, damaged or truncated packets, other
    /// protocols.
    package private(set) var unreadablePackets = 0
    /// The number of TCP segments.
    package private(set) var segments = 0

    private let search: CodeSearch
    private let targetPorts: Set<UInt16>
    private let capacity: Int
    /// The index of the latest handshake of each flow.
    private var positions: [Flow: Int] = [:]

    /// Creates a tracer.
    ///
    /// - Parameters:
    ///   - search: The keys, slots and addresses to try on codes and proofs.
    ///   - targetPorts: The server ports to trace; all if empty.
    ///   - capacity: The most handshakes that are kept; later ones are only counted.
    package init(search: CodeSearch, targetPorts: Set<UInt16> = [], capacity: Int = 65_536) {
        self.search = search
        self.targetPorts = targetPorts
        self.capacity = capacity
    }

    /// The latest handshake of a flow; nil if there is none.
    package subscript(flow: Flow) -> HandshakeTrace? {
        positions[flow].map { handshakes[$0] }
    }

    /// Processes a packet that begins with its IP header.
    package mutating func take(_ bytes: Span<UInt8>, at time: CaptureTime) {
        do throws(WireError) {
            take(try CapturedSegment(bytes, at: time))
        } catch {
            unreadablePackets += 1
        }
    }

    /// Processes a TCP segment.
    package mutating func take(_ segment: CapturedSegment) {
        segments += 1
        if segment.flags.isSYN {
            guard isTarget(segment.destinationPort) else { return }
            takeSYN(segment)
        } else if segment.flags.isSYNACK {
            guard isTarget(segment.sourcePort) else { return }
            takeSYNACK(segment)
        } else if let position = positions[segment.flowFromClient] {
            takeFromClient(segment, &handshakes[position])
        } else if let position = positions[segment.flowFromServer] {
            takeFromServer(segment, &handshakes[position])
        }
    }

    private func isTarget(_ port: UInt16) -> Bool { targetPorts.isEmpty || targetPorts.contains(port) }

    /// Finds the handshake of a flow with this client ISN, or adds it; nil if there is no room.
    private mutating func position(of flow: Flow, clientISN: UInt32?, _ segment: CapturedSegment) -> Int? {
        if let position = positions[flow],
            clientISN == nil || handshakes[position].clientISN == clientISN
        {
            return position
        }
        guard handshakes.count < capacity else {
            ignoredHandshakes += 1
            return nil
        }
        positions[flow] = handshakes.count
        handshakes.append(
            HandshakeTrace(
                flow: flow, clientISN: clientISN ?? segment.acknowledgmentNumber &- 1, begin: segment.time))
        return handshakes.count - 1
    }

    private mutating func takeSYN(_ segment: CapturedSegment) {
        guard
            let position = position(
                of: segment.flowFromClient, clientISN: segment.sequenceNumber, segment)
        else { return }
        if let earlier = handshakes[position].syn {
            handshakes[position].repeatedSYNs += 1
            // The client's daemon may have been started between the two SYNs.
            if case .explained = earlier.finding { return }
            guard earlier.code != segment.acknowledgmentNumber else { return }
        }
        handshakes[position].syn = HandshakeTrace.SYN(
            time: segment.time, code: segment.acknowledgmentNumber, finding: search.finding(for: segment))
        handshakes[position].client.next = segment.sequenceNumber &+ 1
    }

    private mutating func takeSYNACK(_ segment: CapturedSegment) {
        // With TCP Fast Open, it acknowledges more than C + 1, so the handshake is found by the flow alone.
        guard let position = position(of: segment.flowFromServer, clientISN: nil, segment) else { return }
        let trace = handshakes[position]
        if let earlier = trace.synACK {
            handshakes[position].repeatedSYNACKs += 1
            if trace.thirdACK != nil { handshakes[position].unheardSYNACKs += 1 }
            guard earlier.capturedISN != segment.sequenceNumber || earlier.nonce != segment.identifier,
                trace.thirdACK == nil
            else { return }
        }
        var code: CodeExplanation?
        if case .explained(let explanation)? = trace.syn?.finding { code = explanation }
        handshakes[position].synACK = HandshakeTrace.SYNACK(
            time: segment.time, capturedISN: segment.sequenceNumber, nonce: segment.identifier,
            acknowledgment: segment.acknowledgmentNumber,
            finding: search.finding(for: segment, clientISN: trace.clientISN, code: code))
        handshakes[position].server.next = segment.sequenceNumber &+ 1
    }

    private func takeFromClient(_ segment: CapturedSegment, _ trace: inout HandshakeTrace) {
        trace.client.count(segment)
        guard segment.flags.isDisjoint(with: [.rst, .syn]), segment.flags.contains(.ack), trace.thirdACK == nil,
            segment.sequenceNumber == trace.synACK?.acknowledgment ?? (trace.clientISN &+ 1)
        else { return }
        trace.thirdACK = HandshakeTrace.ThirdACK(
            time: segment.time, finding: Self.finding(segment.acknowledgmentNumber, trace.synACK))
        // The client's kernel knows the true number, and the server's next segments use it too.
        trace.server.next = segment.acknowledgmentNumber
    }

    private func takeFromServer(_ segment: CapturedSegment, _ trace: inout HandshakeTrace) {
        trace.server.count(segment)
        if !segment.flags.contains(.rst), trace.thirdACK != nil { trace.serverWentOn = true }
    }

    private static func finding(_ acknowledgment: UInt32, _ synACK: HandshakeTrace.SYNACK?) -> AcknowledgmentFinding {
        guard let synACK else { return .notJudged }
        if case .explained(let proof) = synACK.finding {
            if acknowledgment == proof.trueISN &+ 1 { return .trueISN }
            return acknowledgment == synACK.capturedISN &+ 1 ? .maskedISN : .other(acknowledgment)
        }
        return acknowledgment == synACK.capturedISN &+ 1 ? .capturedISN : .other(acknowledgment)
    }
}

extension HandshakeTrace.Sender {
    /// Counts a segment without SYN.
    ///
    /// Sequence numbers wrap (RFC 9293 §3.4).
    fileprivate mutating func count(_ segment: CapturedSegment) {
        if segment.flags.contains(.rst) { resets += 1 }
        if segment.flags.contains(.fin) { fins += 1 }
        guard segment.payloadLength > 0 else { return }
        let end = segment.sequenceNumber &+ UInt32(truncatingIfNeeded: segment.payloadLength)
        let fresh = next.map { Int(Int32(truncatingIfNeeded: end &- $0)) } ?? segment.payloadLength
        if fresh > 0 {
            bytes &+= min(fresh, segment.payloadLength)
            next = end
        } else {
            repeatedSegments += 1
        }
    }
}
