// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// An engine's record of its verdicts: a counter for each reason, and events for those to be reported.
public struct Ledger: Sendable {
    /// Which verdicts cause an event, besides those that always do.
    public struct Reporting: OptionSet, Sendable {
        /// The set as bits.
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Every dropped packet.
        public static let drops = Reporting(rawValue: 1)
        /// Every step of every handshake.
        public static let stages = Reporting(rawValue: 2)
        /// All verdicts.
        public static let all: Reporting = [.drops, .stages]
    }

    /// The maximum number of events waiting for the caller.
    private static let eventCapacity = 1024

    /// The number of verdicts for each reason.
    public private(set) var counters = Counters()
    /// Which verdicts cause an event, besides those that always do.
    public var reporting: Reporting = []
    private var events = EventBuffer(capacity: eventCapacity)
    private var key: KeyID?
    private var mode: MaskMode?

    /// Creates an empty ledger, with the memory for events reserved.
    public init() {}

    /// The number of events dropped because earlier ones had not been taken.
    public var lostEvents: UInt64 { events.lost }

    /// Removes and returns the oldest event; nil if there is none.
    public mutating func nextEvent() -> Event? { events.next() }

    /// Starts the next packet, forgetting what was noted about the last one.
    public mutating func open() {
        key = nil
        mode = nil
    }

    /// Notes the key, and for a SYN the mode, of the handshake that the packet belongs to.
    mutating func note(_ key: KeyID, _ mode: MaskMode? = nil) {
        self.key = key
        self.mode = mode
    }

    /// Counts a verdict on a packet that belongs to no flow.
    public mutating func close(_ reason: Reason) {
        counters.count(reason)
    }

    /// Counts a verdict, and records an event if it is to be reported.
    public mutating func close(_ verdict: Verdict, _ flow: Flow, at now: Instant) {
        counters.count(verdict.reason)
        switch verdict.reason.interest {
        case .always: break
        case .drop: guard reporting.contains(.drops) else { return }
        case .stage: guard reporting.contains(.stages) else { return }
        }
        events.offer(Event(flow, verdict.reason, key: key, mode: mode, at: now))
    }
}
