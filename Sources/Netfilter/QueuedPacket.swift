// SPDX-License-Identifier: GPL-2.0-or-later
public import Linux

/// A netfilter hook of the IP families (`enum nf_inet_hooks`, linux/netfilter.h).
public struct NetfilterHook: RawRepresentable, Hashable, Sendable {
    /// The number of the hook.
    public let rawValue: UInt8

    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `NF_INET_PRE_ROUTING`: packets from the network, before routing.
    @inlinable public static var prerouting: NetfilterHook { NetfilterHook(rawValue: 0) }
    /// `NF_INET_POST_ROUTING`: packets to the network, after routing.
    @inlinable public static var postrouting: NetfilterHook { NetfilterHook(rawValue: 4) }
}

/// The kernel's information about a queued packet, besides its bytes.
public struct QueuedPacket: Equatable, Sendable {
    /// The hook at which the packet was queued.
    public let hook: NetfilterHook
    /// The packet mark (`skb->mark`); 0 if not set.
    public let mark: UInt32
    /// Whether the kernel has verified the transport checksum (no `NFQA_SKB_CSUM_NOTVERIFIED`).
    public let checksumVerified: Bool

    public init(hook: NetfilterHook, mark: UInt32, checksumVerified: Bool = false) {
        self.hook = hook
        self.mark = mark
        self.checksumVerified = checksumVerified
    }
}

/// What the kernel does with a queued packet.
public enum QueueVerdict: Equatable, Sendable {
    /// `NF_DROP`.
    case drop
    /// `NF_ACCEPT`: the packet continues after the hook at which it was queued.
    case accept(mark: UInt32)
    /// `NF_ACCEPT`, with the packet replaced by its current bytes.
    case acceptModified(mark: UInt32)
    /// `NF_REPEAT`: the packet passes the table that queued it again, so that all other rules see it as well.
    case `repeat`(mark: UInt32)
    /// `NF_REPEAT`, with the packet replaced by its current bytes.
    case repeatModified(mark: UInt32)
}

/// The result of one call to `PacketQueue.receive`.
public struct ReceivedBatch: Equatable, Sendable {
    /// The number of packets that were received and got a verdict.
    public var packets = 0
    /// What went wrong since the last call.
    public var trouble = QueueTrouble()

    public init() {}
}

/// A queue of packets that wait for verdicts.
public protocol PacketQueue: ~Copyable {
    /// Receives the waiting packets, up to the size of a batch, and sends the verdicts, without blocking.
    ///
    /// - Parameter judge: Decides on one packet; may change its bytes, which start with the IP header.
    /// - Returns: The result.
    /// - Throws: `SystemError` if the queue has become unusable.
    mutating func receive(
        _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict
    ) throws(SystemError) -> ReceivedBatch
}
