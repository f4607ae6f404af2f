// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Synchronization
package import Wire

/// What the engines of one server share, each on a thread of its own: who is locked out, and which codes are used up.
///
/// Pending handshakes are not shared: the kernel hands both directions of an address pair to the same queue.
package final class SharedState: Sendable {
    let lockouts: Lockouts
    private let replays: Mutex<ReplayCache>
    private let wrongCodes: Mutex<WrongCodes>
    /// Lets wrong codes pass by the lock where they are not counted.
    private let countsWrongCodes: Atomic<Bool>

    /// Reserves the room that the configuration asks for.
    package init(_ configuration: ServerEngine.Configuration) {
        lockouts = Lockouts(
            capacity: configuration.lockoutCapacity, duration: UInt64(configuration.lockoutSeconds) * 1000,
            memory: ServerEngine.handshakeLifetime)
        replays = Mutex(ReplayCache(capacity: configuration.replayCapacity, usesTime: configuration.usesTime))
        wrongCodes = Mutex(
            WrongCodes(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds))
        countsWrongCodes = Atomic(configuration.wrongCodeLimit > 0)
    }

    /// Takes over what can change while the server runs: lockout times, and the counting of wrong codes.
    package func adopt(_ configuration: ServerEngine.Configuration) {
        lockouts.setDuration(UInt64(configuration.lockoutSeconds) * 1000)
        wrongCodes.withLock {
            $0.configure(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds)
        }
        countsWrongCodes.store(configuration.wrongCodeLimit > 0, ordering: .releasing)
    }

    /// Who is locked out, and until when.
    package func lockedOut(at now: Instant) -> [(address: IPAddress, lockout: Lockout)] {
        lockouts.all(at: now.uptime)
    }

    /// Lets an address in again before its time; what ended with its lockout stays ended.
    ///
    /// - Returns: Whether it was locked out.
    package func unlock(_ address: IPAddress, at now: Instant) -> Bool {
        lockouts.unlock(address, at: now.uptime)
    }

    /// Why a handshake with a right code may not begin; nil if it may, and then its code is used up.
    ///
    /// Only who knows the key gets as far as this lock.
    func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        replays.withLock { $0.refuse(code, slot: slot, at: now) }
    }

    /// Uses up the code of a retransmission.
    func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) {
        replays.withLock { $0.extend(code, slot: slot, at: now) }
    }

    /// Counts a wrong code, and locks its sender out if it is one too many.
    ///
    /// - Returns: Whether it was.
    func isOneTooMany(from address: IPAddress, at now: Instant) -> Bool {
        guard countsWrongCodes.load(ordering: .acquiring) else { return false }
        guard wrongCodes.withLock({ $0.count(address, at: now.uptime) }) else { return false }
        lockouts.lock(address, .tooManyWrongCodes, at: now.uptime)
        return true
    }
}
