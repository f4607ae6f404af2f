// SPDX-License-Identifier: GPL-2.0-or-later

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
