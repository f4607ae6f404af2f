// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Logging
internal import Program
internal import Wire

/// Writes events to the log, each as one line; what anybody can cause, not more than some lines a second, and what one guest
/// can cause without a connection, not more than some a second of that guest.
package struct EventLog {
    private static let linesOfGuest = 20

    private let logger: Logger
    /// What the other side of a handshake is called.
    private let partyLabel: String
    private var limiter = RateLimiter(perSecond: 20)
    /// For each guest that has had such a line; there are never more than guests.
    private var guestLimiters: [String: RateLimiter] = [:]
    private var troubleLimiter = RateLimiter(perSecond: 1)
    private var trouble = Trouble()

    /// Takes the logger to write to, and what the other side of a handshake is called: guest or target.
    package init(_ logger: Logger, partyLabel: String) {
        self.logger = logger
        self.partyLabel = partyLabel
    }

    /// Writes one event.
    ///
    /// - Parameters:
    ///   - event: What has happened.
    ///   - party: The name of the guest or target; nil where there is none.
    ///   - now: The time.
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
        case .guestExpired, .guestFromOtherNetwork, .guestAtOtherPort:
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

    /// What to look at when a server does not prove itself.
    private static func advice(_ flow: Flow, _ reason: Reason) -> String {
        let unprotected = "the server answers without a knock: is its daemon running, are its rules up?"
        let differs = "wrong key, or wrong --nat-ip, or a box on the way rewrites the IP ID or the ISN"
        if reason == .proofMissing { return unprotected }
        // An ordinary server sends a flow label too, so for IPv6 the one cannot be told from the other.
        return flow.serverAddress.family == .ipv4 ? differs : "\(differs); or \(unprotected)"
    }

    /// Writes what went wrong, at most a line a second for each kind.
    package mutating func writeTrouble(_ entries: EventJournal.Entries, at now: Instant) {
        trouble.lost += entries.lost
        trouble.overflows += entries.overflows
        trouble.refusedVerdicts += entries.refusedVerdicts
        trouble.malformedMessages += entries.malformedMessages
        guard trouble.isAny, troubleLimiter.pass(at: now.uptime) != nil else { return }
        if trouble.lost > 0 {
            logger.warning("events came faster than they could be written", metadata: ["lost": "\(trouble.lost)"])
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
        trouble = Trouble()
    }

    private struct Trouble {
        var lost: UInt64 = 0
        var overflows = 0
        var refusedVerdicts = 0
        var malformedMessages = 0

        var isAny: Bool { lost > 0 || overflows > 0 || refusedVerdicts > 0 || malformedMessages > 0 }
    }

    /// Asks whether a line may be written that anybody can cause; adds the reason and how many were held back.
    private mutating func limit(_ metadata: inout Logger.Metadata, _ reason: Reason, at now: Instant) -> Bool {
        guard let held = limiter.pass(at: now.uptime) else { return false }
        metadata["reason"] = "\(reason.name)"
        if held > 0 { metadata["held-back"] = "\(held)" }
        return true
    }

    /// Asks whether a line may be written that a guest can cause as often as it likes.
    private mutating func limitGuest(_ party: String?, at now: Instant) -> Bool {
        guard let party else { return true }
        return guestLimiters[party, default: RateLimiter(perSecond: Self.linesOfGuest)].passOrHold(at: now.uptime)
    }

    /// Writes how many lines of each guest were left out in the seconds that are over.
    ///
    /// - Returns: Whether some are still to be told.
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
