// SPDX-License-Identifier: GPL-2.0-or-later
public import Linux

/// The netfilter hooks of the IP families (`enum nf_inet_hooks`, linux/netfilter.h).
public struct NetfilterHook: RawRepresentable, Hashable, Sendable {
    /// The number of the hook.
    public let rawValue: UInt8

    /// Takes the number of a hook.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `NF_INET_PRE_ROUTING`: packets from the network, before routing.
    @inlinable public static var prerouting: NetfilterHook { NetfilterHook(rawValue: 0) }
    /// `NF_INET_POST_ROUTING`: packets to the network, behind routing.
    @inlinable public static var postrouting: NetfilterHook { NetfilterHook(rawValue: 4) }
}

/// What the kernel says of a queued packet beside its bytes.
public struct QueuedPacket: Equatable, Sendable {
    /// Where the packet was queued.
    public let hook: NetfilterHook
    /// The packet mark (`skb->mark`); 0 where none is set.
    public let mark: UInt32
    /// Whether the kernel has verified the transport checksum (no `NFQA_SKB_CSUM_NOTVERIFIED`).
    public let checksumVerified: Bool

    /// Names the hook, the mark, and what is known of the checksum.
    public init(hook: NetfilterHook, mark: UInt32, checksumVerified: Bool = false) {
        self.hook = hook
        self.mark = mark
        self.checksumVerified = checksumVerified
    }
}

/// What the kernel is to do with a queued packet.
public enum QueueVerdict: Equatable, Sendable {
    /// `NF_DROP`.
    case drop
    /// `NF_ACCEPT`: the packet goes on behind the hook it was queued at.
    case accept(mark: UInt32)
    /// `NF_ACCEPT` with the bytes as they are now in place of those that were queued.
    case acceptModified(mark: UInt32)
    /// `NF_REPEAT`: the packet goes through the table that queued it once more, so that all other rules see it, too.
    case `repeat`(mark: UInt32)
    /// `NF_REPEAT` with the bytes as they are now.
    case repeatModified(mark: UInt32)
}

/// What one call to `PacketQueue.receive` came to.
public struct ReceivedBatch: Equatable, Sendable {
    /// How many packets were received and got a verdict.
    public var packets = 0
    /// Whether the kernel had to discard packets since the last call because they were not fetched fast enough.
    public var overflowed = false
    /// How many verdicts the kernel refused (for a packet that it no longer holds, say).
    public var refusedVerdicts = 0
    /// How many messages were not what the kernel sends.
    public var malformedMessages = 0

    /// Whether something went wrong.
    public var hasTrouble: Bool { overflowed || refusedVerdicts > 0 || malformedMessages > 0 }

    /// Starts at zero.
    public init() {}
}

/// A queue of packets that wait for verdicts.
public protocol PacketQueue: ~Copyable {
    /// Takes as many packets as are waiting and fit in a batch, has them judged, and sends the verdicts; never waits.
    ///
    /// - Parameter judge: Decides on one packet; may change its bytes, which begin with the IP header.
    /// - Returns: What came of it.
    /// - Throws: If the queue can no longer be used.
    mutating func receive(
        _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict
    ) throws(SystemError) -> ReceivedBatch
}
