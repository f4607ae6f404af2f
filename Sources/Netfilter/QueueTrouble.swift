// SPDX-License-Identifier: GPL-2.0-or-later

/// What went wrong with a queue, counted.
public struct QueueTrouble: Equatable, Sendable {
    /// The number of times that the kernel has dropped packets because they were not received fast enough.
    public var overflows = 0
    /// The number of verdicts that the kernel refused (for example, for a packet that it no longer holds).
    public var refusedVerdicts = 0
    /// The number of messages of an unexpected form.
    public var malformedMessages = 0

    /// Whether anything went wrong.
    public var isAny: Bool { overflows > 0 || refusedVerdicts > 0 || malformedMessages > 0 }

    public init() {}

    public static func += (total: inout QueueTrouble, other: QueueTrouble) {
        total.overflows += other.overflows
        total.refusedVerdicts += other.refusedVerdicts
        total.malformedMessages += other.malformedMessages
    }
}
