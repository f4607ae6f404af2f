// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// Something that people or other parts of the daemon want to know.
package enum Event: Equatable, Sendable {
    /// Server: a SYN with a right code began a handshake.
    case handshakeBegun(Flow, MaskMode)
    /// Server: the third ACK was right.
    case verified(Flow)
    /// Server: the client ended its handshake by a RST.
    case handshakeReset(Flow)
    /// Server: the third ACK was wrong. The address is locked out; its connections are to be closed.
    case lockedOut(Flow, Reason)
    /// Client: a server has proven that it holds the key.
    case serverProven(Flow)
    /// Client: a server that must prove itself did not, and its SYN/ACK was dropped.
    case proofFailed(Flow, Reason)
    /// Either: a packet was dropped; only where the configuration asks for it.
    case dropped(Flow, Reason)
}

/// Events on their way out of the engine: a ring that never grows, and counts what found no room.
struct EventRing {
    private var events: [Event] = []
    private var first = 0
    private let capacity: Int
    /// How many events found no room.
    private(set) var lost: UInt64 = 0

    init(capacity: Int) {
        self.capacity = capacity
        events.reserveCapacity(capacity)
    }

    mutating func offer(_ event: Event) {
        if events.count < capacity { events.append(event) } else { lost &+= 1 }
    }

    mutating func next() -> Event? {
        guard first < events.count else {
            events.removeAll(keepingCapacity: true)
            first = 0
            return nil
        }
        first += 1
        return events[first - 1]
    }
}
