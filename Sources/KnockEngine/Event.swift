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

/// Events on their way out of the engine: as many as there is room for; what finds none is counted.
///
/// All of them are taken before the room is used anew, and no array ever changes its size.
struct EventBuffer {
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
