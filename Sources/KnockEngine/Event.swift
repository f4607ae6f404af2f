// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// A verdict that people or other parts of the daemon want to know.
public struct Event: Equatable, Sendable {
    /// The connection.
    public let flow: Flow
    /// What has happened.
    public let reason: Reason
    /// Whose key the handshake was made with; nil where none is known.
    public let key: KeyID?
    /// The mask that the client asked for, where the event is about its SYN.
    public let mode: MaskMode?
    /// When.
    public let time: Instant

    /// Takes all of it.
    public init(_ flow: Flow, _ reason: Reason, key: KeyID? = nil, mode: MaskMode? = nil, at time: Instant) {
        self.flow = flow
        self.reason = reason
        self.key = key
        self.mode = mode
        self.time = time
    }
}

/// Events on their way out of the engine: as many as there is room for; what finds none is counted.
///
/// Nothing is lost to whoever takes them after each batch of packets, as a `Worker` does: a packet makes one event at most, and
/// a batch has fewer packets than there is room. All of them are taken before the room is used anew, and no array ever changes its size.
struct EventBuffer: Sendable {
    private var events: [Event?]
    private var taken = 0
    private var count = 0
    /// How many events found no room.
    private(set) var lost: UInt64 = 0

    init(capacity: Int) {
        events = Array(repeating: nil, count: capacity)
    }

    mutating func offer(_ event: Event) {
        guard count < events.count else {
            lost &+= 1
            return
        }
        events[count] = event
        count += 1
    }

    mutating func next() -> Event? {
        guard taken < count else {
            (taken, count) = (0, 0)
            return nil
        }
        taken += 1
        return events[taken - 1]
    }
}
