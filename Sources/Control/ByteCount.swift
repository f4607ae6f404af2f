// SPDX-License-Identifier: GPL-2.0-or-later
/// Bytes of a connection in both directions, as connection tracking counts them: with IP headers.
package struct ByteCount: Equatable, Sendable {
    /// From the client.
    package let received: UInt64
    /// To the client.
    package let sent: UInt64

    /// Takes both.
    package init(received: UInt64, sent: UInt64) {
        self.received = received
        self.sent = sent
    }

    /// Adds both directions.
    package static func + (one: ByteCount, other: ByteCount) -> ByteCount {
        ByteCount(received: one.received &+ other.received, sent: one.sent &+ other.sent)
    }
}
