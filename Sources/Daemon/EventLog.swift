// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockEngine
package import Logging
internal import Wire

/// Writes events to the log, each as one line; what anybody can cause, not more than some lines a second.
package struct EventLog {
    private let logger: Logger
    private var limiter = RateLimiter(perSecond: 20)
    private var troubleLimiter = RateLimiter(perSecond: 1)
    private var trouble = Trouble()

    /// Takes the logger to write to.
    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Writes one event.
    package mutating func write(_ event: Event, at now: Instant) {
        switch event {
        case .handshakeBegun(let flow, let mode):
            logger.debug("handshake begun", metadata: Self.metadata(flow, ["mask": "\(mode)"]))
        case .verified(let flow):
            logger.info("connection verified", metadata: Self.metadata(flow))
        case .handshakeReset(let flow):
            logger.info("handshake ended by the client", metadata: Self.metadata(flow))
        case .lockedOut(let flow, let reason):
            logger.warning("locked out: \(reason.explanation)", metadata: Self.metadata(flow, reason))
        case .serverProven(let flow):
            logger.info("server proven", metadata: Self.metadata(flow))
        case .proofFailed(let flow, let reason):
            guard var metadata = limited(flow, reason, at: now) else { return }
            metadata["advice"] = "\(Self.advice(flow, reason))"
            logger.warning("SYN/ACK dropped: \(reason.explanation)", metadata: metadata)
        case .dropped(let flow, let reason):
            guard let metadata = limited(flow, reason, at: now) else { return }
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
                "the kernel discarded packets: they came faster than the queue was read",
                metadata: ["times": "\(trouble.overflows)"])
        }
        if trouble.refusedVerdicts > 0 {
            logger.warning("the kernel refused verdicts", metadata: ["count": "\(trouble.refusedVerdicts)"])
        }
        if trouble.malformedMessages > 0 {
            logger.warning("unexpected messages from the kernel", metadata: ["count": "\(trouble.malformedMessages)"])
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

    private mutating func limited(_ flow: Flow, _ reason: Reason, at now: Instant) -> Logger.Metadata? {
        guard let held = limiter.pass(at: now.uptime) else { return nil }
        var metadata = Self.metadata(flow, reason)
        if held > 0 { metadata["held-back"] = "\(held)" }
        return metadata
    }

    private static func metadata(_ flow: Flow, _ reason: Reason) -> Logger.Metadata {
        metadata(flow, ["reason": "\(reason.name)"])
    }

    private static func metadata(_ flow: Flow, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        more.merging(["client": "\(flow.client)", "server": "\(flow.server)"]) { $1 }
    }
}
