// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Logging
internal import Netfilter
internal import Program
internal import Wire

/// Writes events to the log, one line each.
///
/// The rate of lines that anybody can cause is limited, and so is the rate of those that a single guest can cause
/// without a connection.
package struct EventLog {
    private static let linesOfGuest = 20

    private let logger: Logger
    /// The word for the other side of a handshake: guest or target.
    private let partyLabel: String
    private var limiter = RateLimiter(perSecond: 20)
    /// The limiter of each guest that has had such a line.
    ///
    /// There are never more than there are guests.
    private var guestLimiters: [String: RateLimiter] = [:]
    private var troubleLimiter = RateLimiter(perSecond: 1)
    /// What has not been written yet: the number of lost events, and what went wrong with the queues.
    private var lost: UInt64 = 0
    private var trouble = QueueTrouble()

    package init(_ logger: Logger, partyLabel: String) {
        self.logger = logger
        self.partyLabel = partyLabel
    }

    /// Writes an event.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - party: The name of the guest or target; nil if there is none.
    ///   - now: The current time.
    package mutating func write(_ event: Event, of party: String?, at now: Instant) {
        let (flow, reason) = (event.flow, event.reason)
        var metadata = metadata(flow, party)
        switch reason {
        case .synAccepted:
            metadata["mask"] = "\(event.mode.map { "\($0)" } ?? "")"
            logger.debug("handshake begun", metadata: metadata)
        case .acknowledgmentVerified:
            logger.info("connection verified", metadata: metadata)
        case .resetOfHandshake:
            guard limitGuest(party, at: now) else { return }
            logger.info("handshake ended by the client", metadata: metadata)
        case .wrongAcknowledgment, .maskedAcknowledgment:
            metadata["reason"] = "\(reason.name)"
            logger.warning("locked out: \(reason.explanation)", metadata: metadata)
        case .tooManyWrongCodes:
            guard limit(&metadata, reason, at: now) else { return }
            logger.warning("locked out: \(reason.explanation)", metadata: metadata)
        case .guestExpired, .guestFromOtherNetwork, .guestAtOtherPort, .tooManyUnanswered:
            guard party == nil ? limit(&metadata, reason, at: now) : limitGuest(party, at: now) else { return }
            metadata["reason"] = "\(reason.name)"
            logger.warning("refused: \(reason.explanation)", metadata: metadata)
        case .knocked:
            guard limitGuest(party, at: now) else { return }
            logger.info("knocked", metadata: metadata)
        case .synAckProven:
            logger.info("server proven", metadata: metadata)
        case .proofMissing, .proofWrong:
            guard limit(&metadata, reason, at: now) else { return }
            metadata["advice"] = "\(Self.advice(flow, reason))"
            logger.warning("SYN/ACK dropped: \(reason.explanation)", metadata: metadata)
        default:
            guard limit(&metadata, reason, at: now) else { return }
            logger.debug("dropped: \(reason.explanation)", metadata: metadata)
        }
    }

    /// Returns advice on what to check when a server does not prove itself.
    private static func advice(_ flow: Flow, _ reason: Reason) -> String {
        let unprotected = "the server answers without a knock: is its daemon running, are its rules up?"
        let differs = "wrong key, or wrong --nat-ip, or a box on the way rewrites the IP ID or the ISN"
        if reason == .proofMissing { return unprotected }
        // An ordinary server sends flow labels, too, so for IPv6 the two cases cannot be told apart.
        return flow.serverAddress.family == .ipv4 ? differs : "\(differs); or \(unprotected)"
    }

    /// Writes problems to the log, at most one line a second for each kind.
    package mutating func writeTrouble(_ entries: EventJournal.Entries, at now: Instant) {
        lost += entries.lost
        trouble += entries.trouble
        guard lost > 0 || trouble.isAny, troubleLimiter.pass(at: now.uptime) != nil else { return }
        if lost > 0 {
            logger.warning("events came faster than they could be written", metadata: ["lost": "\(lost)"])
        }
        if trouble.overflows > 0 {
            logger.warning(
                "packets came faster than the queue was read, and got no verdict",
                metadata: ["times": "\(trouble.overflows)"])
        }
        if trouble.refusedVerdicts > 0 {
            logger.warning("the kernel refused verdicts", metadata: ["count": "\(trouble.refusedVerdicts)"])
        }
        if trouble.malformedMessages > 0 {
            logger.warning(
                "ignored messages that the kernel does not send", metadata: ["count": "\(trouble.malformedMessages)"])
        }
        (lost, trouble) = (0, QueueTrouble())
    }

    /// Returns whether a line that anybody can cause may be written.
    ///
    /// If so, adds the reason and the number of suppressed lines.
    private mutating func limit(_ metadata: inout Logger.Metadata, _ reason: Reason, at now: Instant) -> Bool {
        guard let held = limiter.pass(at: now.uptime) else { return false }
        metadata["reason"] = "\(reason.name)"
        if held > 0 { metadata["held-back"] = "\(held)" }
        return true
    }

    /// Returns whether a line that a guest can cause as often as it likes may be written.
    private mutating func limitGuest(_ party: String?, at now: Instant) -> Bool {
        guard let party else { return true }
        return guestLimiters[party, default: RateLimiter(perSecond: Self.linesOfGuest)].passOrHold(at: now.uptime)
    }

    /// Writes the number of suppressed lines of each guest, for the seconds that are over.
    ///
    /// - Returns: Whether there are suppressed lines that are still to be reported.
    package mutating func writeLeftOut(at now: Instant) -> Bool {
        var isAnyLeft = false
        for party in guestLimiters.keys.sorted() {
            guard let held = guestLimiters[party]?.takeHeld(at: now.uptime) else { continue }
            if held > 0 {
                logger.warning(
                    "log lines left out: the \(partyLabel) causes more than \(Self.linesOfGuest) a second",
                    metadata: ["\(partyLabel)": "\(party)", "count": "\(held)"])
            }
            if guestLimiters[party]?.isHolding == true { isAnyLeft = true }
        }
        return isAnyLeft
    }

    private func metadata(_ flow: Flow, _ party: String?) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["client": "\(flow.client)", "server": "\(flow.server)"]
        if let party { metadata[partyLabel] = "\(party)" }
        return metadata
    }
}
