// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import KnockProtocol
internal import Linux
internal import Wire

extension Experiments {
    /// The most routers that are asked.
    private static let maximumHops = 20
    /// The number of SYN/ACKs that are examined to find out what was changed in them.
    private static let nonceSamples = 12
    /// The time in which a server repeats a SYN/ACK twice, in seconds (RFC 6298: after 1 s, then 2 s).
    private static let repetition = 3.5

    /// Sends SYNs that expire at each router on the way, which then quotes what it received.
    func askRouters() throws(FatalError) -> [Hop] {
        let plans = (1...Self.maximumHops).map { distance in
            var plan = Plan(.asConfigured)
            plan.hopLimit = UInt8(distance)
            return plan
        }
        let first = traffic.quotes.count
        let all = try ask(plans, spacing: 0.05)
        let quotes = traffic.quotes[first...].filter { $0.kind == .timeExceeded }
        return all.enumerated().compactMap { index, sent in
            // A box that changes the ISN leaves the port, and one that changes the port leaves the ISN.
            let quote = quotes.first {
                $0.sourcePort == sent.port.number || $0.sequenceNumber == sent.handshake.clientISN
            }
            return quote.map { Hop(distance: index + 1, router: $0.reporter, changes: changes($0, sent)) }
        }
    }

    private func changes(_ quote: ICMPQuote, _ sent: Sent) -> [Hop.Change] {
        var changes: [Hop.Change] = []
        if let field = quote.acknowledgmentNumber, field != sent.code { changes.append(.code) }
        if quote.sequenceNumber != sent.handshake.clientISN { changes.append(.isn) }
        if quote.identifier != sent.identifier { changes.append(.identifier) }
        return changes
    }

    /// Finds out whether a changed nonce alone can explain proofs that do not hold.
    ///
    /// - Returns: The number of SYN/ACKs that it can explain, the number examined, and whether all nonces were 0; nil
    ///   if there was no such SYN/ACK. The search stops at the first that it cannot explain.
    func solveNonces() throws(FatalError) -> (solvable: Int, total: Int, areZero: Bool)? {
        let plans = [Plan](repeating: Plan(.asConfigured), count: Self.nonceSamples)
        let all = try ask(plans, spacing: 0.1).filter { $0.answer == .unproven }
        var (solvable, total) = (0, 0)
        for sent in all {
            guard let synACK = sent.synACK else { continue }
            total += 1
            let hasSolution = NonceSearch.hasSolution(
                keys: settings.key.keys, handshake: sent.handshake, maskedISN: synACK.sequenceNumber, mode: sent.mode,
                family: route.remote.family)
            guard hasSolution else { break }
            solvable += 1
        }
        return total == 0 ? nil : (solvable, total, all.allSatisfy { $0.synACK?.identifier == 0 })
    }

    /// Finds out whether an acknowledgment of the true ISN gets through with a windowed mask.
    ///
    /// The acknowledgment is a RST. Stateful boxes check its acknowledgment number like that of any segment; servers do
    /// not. If it arrives, the server stops repeating its SYN/ACK.
    ///
    /// - Returns: Whether it got through; nil if there was no proven SYN/ACK.
    func windowedGetsThrough() throws(FatalError) -> Bool? {
        var plan = Plan(.asConfigured)
        plan.mode = .windowed
        let all = try ask([plan], resets: false)
        guard let sent = all.first, let synACK = sent.synACK, let serverISN = sent.serverISN else { return nil }
        traffic.send(from: sent.port.number) { segment in
            segment.flags = [.rst, .ack]
            segment.sequenceNumber = synACK.acknowledgmentNumber
            segment.acknowledgmentNumber = serverISN &+ 1
        }
        let seen = traffic.answers.count
        let isRepeated = try traffic.wait(Self.repetition) {
            traffic.answers[seen...].contains { $0.flags.isSYNACK && $0.destinationPort == sent.port.number }
        }
        traffic.reset(synACK)
        return !isRepeated
    }
}
