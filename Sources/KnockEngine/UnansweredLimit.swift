// SPDX-License-Identifier: GPL-2.0-or-later

/// Limits the SYN/ACKs that a guest leaves unanswered between the same two ends (docs/PROTOCOL.md §5.3).
///
/// Each ISN that a SYN/ACK shows counts for a while, and a right third ACK takes one back. So connections that succeed
/// cost nothing, an outage costs the time of one, and somebody who collects masked ISNs gets few.
struct UnansweredLimit {
    /// How long each SYN/ACK counts, one after the other, in seconds.
    private static let seconds: UInt32 = 10
    /// The maximum number that count at the same time.
    ///
    /// All of them together count for less than the lifetime of a handshake, with which this is kept.
    private static let most: UInt32 = 16

    /// When the last one stops counting, in seconds of uptime.
    private var end: UInt32 = 0

    /// Returns whether no handshake may begin now.
    func isReached(at uptime: UInt64) -> Bool {
        end > UInt32(truncatingIfNeeded: uptime / 1000) &+ Self.seconds * (Self.most - 1)
    }

    /// Counts a SYN/ACK with an ISN of its own.
    mutating func count(at uptime: UInt64) {
        end = max(end, UInt32(truncatingIfNeeded: uptime / 1000)) &+ Self.seconds
    }

    /// Takes one back.
    mutating func takeBack() { end -= min(end, Self.seconds) }
}
