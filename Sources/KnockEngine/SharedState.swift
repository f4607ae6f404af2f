// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Synchronization

/// What the engines of one server share, each on a thread of its own: who is locked out, and which codes are used up.
///
/// Pending handshakes are not shared: the kernel hands both directions of an address pair to the same queue.
package final class SharedState: Sendable {
    let lockouts: Lockouts
    private let replays: Mutex<ReplayCache>

    /// Reserves the room that the configuration asks for.
    package init(_ configuration: ServerEngine.Configuration) {
        lockouts = Lockouts(
            capacity: configuration.lockoutCapacity, duration: UInt64(configuration.lockoutSeconds) * 1000,
            memory: ServerEngine.handshakeLifetime)
        replays = Mutex(ReplayCache(capacity: configuration.replayCapacity, usesTime: configuration.usesTime))
    }

    /// Why a handshake with a right code may not begin; nil if it may, and then its code is used up.
    ///
    /// Only who knows the key gets as far as this lock.
    func refuse(_ handshake: Handshake, slot: TimeSlot, at now: Instant) -> Reason? {
        replays.withLock { $0.refuse(handshake, slot: slot, at: now) }
    }

    /// Uses up the code of a retransmission.
    func extend(_ handshake: Handshake, slot: TimeSlot, at now: Instant) {
        replays.withLock { $0.extend(handshake, slot: slot, at: now) }
    }
}
