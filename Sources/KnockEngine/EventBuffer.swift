// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol

/// A fixed-size buffer of events on their way out of the engine; events that do not fit are counted.
///
/// A caller that takes all events after each batch of packets, as `Worker` does, loses none: a packet causes at most
/// one event, and a batch is smaller than the buffer. The buffer is drained completely before it is refilled, and no
/// array ever changes its size.
struct EventBuffer: Sendable {
    private var events: [Event?]
    private var taken = 0
    private var count = 0
    /// The number of events that did not fit.
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
