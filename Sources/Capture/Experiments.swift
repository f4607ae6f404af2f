// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import Glibc
internal import KnockProtocol
internal import Linux
internal import Wire

/// Experiments with SYNs that the probe itself sends.
///
/// A SYN/ACK is answered with a RST, never with an ACK, so that nothing remains at the server and nobody is locked out.
/// The SYNs already carry a code, so the client's daemon leaves them unchanged.
struct Experiments {
    /// A SYN to be sent.
    struct Plan {
        let kind: Trial.Kind
        var hopLimit = CraftedSegment.usualHopLimit
        var mode: MaskMode?

        init(_ kind: Trial.Kind) { self.kind = kind }
    }

    /// A SYN that was sent.
    struct Sent {
        let plan: Plan
        let port: QuietPort
        let handshake: Handshake
        let mode: MaskMode
        let code: UInt32
        /// The identification field or flow label.
        let identifier: UInt32
        var answer = TrialAnswer.silence
        var synACK: CapturedSegment?
        var serverISN: UInt32?
        /// The number of SYN/ACKs that arrived.
        var synACKs = 0

        var trial: Trial { Trial(plan.kind, answer) }
    }

    let traffic: ProbeTraffic
    let settings: ProbeSettings
    let route: Route
    /// The time between two SYNs, in seconds.
    private static let spacing = 0.15
    /// The time to wait for the answer to the last SYN, in seconds.
    ///
    /// SYNs are not repeated.
    private var patience: Double { min(settings.timeout, 1.5) }

    /// Sends SYNs one after the other and waits for answers.
    ///
    /// - Parameters:
    ///   - plans: The SYNs to send.
    ///   - spacing: The time between them, in seconds.
    ///   - stopsAtProof: Whether to stop at the first right proof.
    ///   - resets: Whether to answer SYN/ACKs with a RST.
    /// - Returns: The SYNs that were sent, with their answers; fewer than planned if a proof ended the series.
    /// - Throws: `FatalError`.
    func ask(
        _ plans: [Plan], spacing: Double = Self.spacing, stopsAtProof: Bool = false, resets: Bool = true
    ) throws(FatalError) -> [Sent] {
        var all: [Sent] = []
        var seen = traffic.answers.count
        func isDone() -> Bool {
            while seen < traffic.answers.count {
                take(traffic.answers[seen], &all, resets: resets)
                seen += 1
            }
            return stopsAtProof && all.contains { $0.answer == .proven }
        }
        for plan in plans {
            all.append(try send(plan))
            if try traffic.wait(spacing, until: isDone) { return all }
        }
        try traffic.wait(patience) { isDone() || all.allSatisfy { $0.answer != .silence } }
        return all
    }

    private func send(_ plan: Plan) throws(FatalError) -> Sent {
        let port = try QuietPort(at: route.local)
        var address = settings.configured(local: route.local).address
        if case .address(let candidate) = plan.kind { address = candidate.address }
        let handshake = Handshake(clientAddress: address, clientISN: .random(in: 0...UInt32.max))
        let mode = plan.mode ?? settings.mode(local: route.local)
        let right = SYNCode(keys: settings.key.keys, handshake: handshake, slot: slot(for: plan.kind))[mode]
        // Neither 0 nor the right code, and almost certainly none of the codes of the neighbouring minutes.
        let code = plan.kind == .wrongCode ? (right ^ 0x5a5a_5a5a == 0 ? 1 : right ^ 0x5a5a_5a5a) : right
        let sent = Sent(
            plan: plan, port: port, handshake: handshake, mode: mode, code: code,
            identifier: identifier(for: plan.kind))
        traffic.send(from: port.number) { segment in
            segment.sequenceNumber = handshake.clientISN
            segment.acknowledgmentNumber = code
            segment.identifier = sent.identifier
            segment.hopLimit = plan.hopLimit
        }
        return sent
    }

    private func slot(for kind: Trial.Kind) -> TimeSlot {
        let current = TimeSlot(unixSeconds: Int64(time(nil)))
        let usesTime = kind == .otherTiming ? !settings.usesTime : settings.usesTime
        guard usesTime else { return .timeless }
        if case .minutesLater(let minutes) = kind { return current.moved(by: minutes) ?? current }
        return current
    }

    /// Returns the hint; if the settings leave it out, a number other than 0, because the kernel would replace 0.
    private func identifier(for kind: Trial.Kind) -> UInt32 {
        guard settings.sendsHint else { return .random(in: 1...0xffff) }
        return KeyHint(keys: settings.key.keys, slot: slot(for: kind)).identifier(route.remote.family)
    }

    private func take(_ answer: CapturedSegment, _ all: inout [Sent], resets: Bool) {
        guard
            let index = all.firstIndex(where: {
                $0.port.number == answer.destinationPort && $0.handshake.clientISN &+ 1 == answer.acknowledgmentNumber
            })
        else { return }
        guard answer.flags.isSYNACK else {
            if all[index].answer == .silence { all[index].answer = .refused }
            return
        }
        all[index].synACKs += 1
        if resets { traffic.reset(answer) }
        guard all[index].synACK == nil else { return }
        all[index].synACK = answer
        if answer.identifier != 0 {
            all[index].serverISN = ServerProof.verifiedISN(
                keys: settings.key.keys, handshake: all[index].handshake, maskedISN: answer.sequenceNumber,
                nonce: answer.identifier, mode: all[index].mode, family: route.remote.family)
        }
        all[index].answer = all[index].serverISN == nil ? .unproven : .proven
    }
}
