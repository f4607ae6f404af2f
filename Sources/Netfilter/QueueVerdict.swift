// SPDX-License-Identifier: GPL-2.0-or-later

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
