// SPDX-License-Identifier: GPL-2.0-or-later
/// The bytes of a connection in both directions, as counted by connection tracking, including IP headers.
package struct ByteCount: Equatable, Sendable {
    /// The bytes from the client.
    package let received: UInt64
    /// The bytes to the client.
    package let sent: UInt64

    package init(received: UInt64, sent: UInt64) {
        self.received = received
        self.sent = sent
    }

    /// Adds the counts of each direction.
    package static func + (one: ByteCount, other: ByteCount) -> ByteCount {
        ByteCount(received: one.received &+ other.received, sent: one.sent &+ other.sent)
    }
}
