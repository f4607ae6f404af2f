// SPDX-License-Identifier: GPL-2.0-or-later

/// The netfilter hooks of the IP families (`enum nf_inet_hooks`, linux/netfilter.h).
package struct NetfilterHook: RawRepresentable, Hashable, Sendable {
    /// The number of the hook.
    package let rawValue: UInt8

    /// Takes the number of a hook.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `NF_INET_PRE_ROUTING`: packets from the network, before routing.
    package static let prerouting = NetfilterHook(rawValue: 0)
    /// `NF_INET_POST_ROUTING`: packets to the network, behind routing.
    package static let postrouting = NetfilterHook(rawValue: 4)
}

/// What the kernel says of a queued packet beside its bytes.
package struct QueuedPacket: Equatable, Sendable {
    /// Where the packet was queued.
    package let hook: NetfilterHook
    /// The packet mark (`skb->mark`); 0 where none is set.
    package let mark: UInt32
    /// Whether the kernel has verified the transport checksum (no `NFQA_SKB_CSUM_NOTVERIFIED`).
    package let checksumVerified: Bool

    /// Names the hook, the mark, and what is known of the checksum.
    package init(hook: NetfilterHook, mark: UInt32, checksumVerified: Bool = false) {
        self.hook = hook
        self.mark = mark
        self.checksumVerified = checksumVerified
    }
}

/// What the kernel is to do with a queued packet.
package enum QueueVerdict: Equatable, Sendable {
    /// `NF_DROP`.
    case drop
    /// `NF_ACCEPT`: the packet goes on behind the hook it was queued at.
    case accept(mark: UInt32)
    /// `NF_ACCEPT` with the bytes as they are now in place of those that were queued.
    case acceptModified(mark: UInt32)
}

/// What one call to `PacketQueue.receive` came to.
package struct ReceivedBatch: Equatable, Sendable {
    /// How many packets were received and got a verdict.
    package var packets = 0
    /// Whether the kernel had to discard packets since the last call because they were not fetched fast enough.
    package var overflowed = false
    /// How many verdicts the kernel refused (for a packet that it no longer holds, say).
    package var refusedVerdicts = 0
    /// How many messages were not what the kernel sends.
    package var malformedMessages = 0

    /// Whether something went wrong.
    package var hasTrouble: Bool { overflowed || refusedVerdicts > 0 || malformedMessages > 0 }

    /// Starts at zero.
    package init() {}
}

/// A queue of packets that wait for verdicts.
package protocol PacketQueue: ~Copyable {
    /// Takes as many packets as are waiting and fit in a batch, has them judged, and sends the verdicts; never waits.
    ///
    /// - Parameter judge: Decides on one packet; may change its bytes, which begin with the IP header.
    /// - Returns: What came of it.
    /// - Throws: If the queue can no longer be used.
    mutating func receive(
        _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict
    ) throws(SystemError) -> ReceivedBatch
}
