// SPDX-License-Identifier: GPL-2.0-or-later
public import Linux

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
