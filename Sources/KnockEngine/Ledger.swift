// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
public import Wire

/// What an engine keeps of its verdicts: how many there were for each reason, and the ones somebody wants to know.
public struct Ledger: Sendable {
    /// Which verdicts make an event beside those that always do.
    public struct Reporting: OptionSet, Sendable {
        /// The set as bits.
        public let rawValue: UInt8
        /// Takes the bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Each dropped packet.
        public static let drops = Reporting(rawValue: 1)
        /// Each step of each handshake.
        public static let stages = Reporting(rawValue: 2)
        /// All there is.
        public static let all: Reporting = [.drops, .stages]
    }

    /// How many events wait for the caller at most.
    private static let eventCapacity = 1024

    /// How many packets got a verdict for each reason.
    public private(set) var counters = Counters()
    /// Which verdicts make an event.
    public var reporting: Reporting = []
    private var events = EventBuffer(capacity: eventCapacity)
    private var key: KeyID?
    private var mode: MaskMode?

    /// Starts at zero, with the memory for events reserved.
    public init() {}

    /// How many events found no room because nobody took the earlier ones.
    public var lostEvents: UInt64 { events.lost }

    /// Takes the oldest event that has not been taken.
    public mutating func nextEvent() -> Event? { events.next() }

    /// Begins with the next packet: nothing is known of it.
    public mutating func open() {
        key = nil
        mode = nil
    }

    /// Notes whose handshake the packet belongs to.
    mutating func note(_ key: KeyID, _ mode: MaskMode? = nil) {
        self.key = key
        self.mode = mode
    }

    /// Counts a verdict that is about no flow.
    public mutating func close(_ reason: Reason) {
        counters.count(reason)
    }

    /// Counts a verdict, and makes an event of it where somebody wants to know.
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
