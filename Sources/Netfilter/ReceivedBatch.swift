// SPDX-License-Identifier: GPL-2.0-or-later

/// The result of one call to `PacketQueue.receive`.
public struct ReceivedBatch: Equatable, Sendable {
    /// The number of packets that were received and got a verdict.
    public var packets = 0
    /// What went wrong since the last call.
    public var trouble = QueueTrouble()

    public init() {}
}
