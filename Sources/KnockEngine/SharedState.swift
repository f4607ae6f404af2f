// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Synchronization
public import Wire

/// What the engines of one server share, each on a thread of its own: who is locked out, and which codes are used up.
///
/// Pending handshakes are not shared: the kernel hands both directions of an address pair to the same queue.
public final class SharedState: Sendable {
    let lockouts: Lockouts
    private let replays: Mutex<ReplayCache>
    private let changes = ChangeLog()
    private let wrongCodes: Mutex<WrongCodes>
    /// Lets wrong codes pass by the lock where they are not counted.
    private let countsWrongCodes: Atomic<Bool>

    /// Reserves the room that the configuration asks for.
    public init(_ configuration: ServerEngine.Configuration) {
        lockouts = Lockouts(
            capacity: configuration.lockoutCapacity, duration: UInt64(configuration.lockoutSeconds) * 1000,
            memory: ServerEngine.handshakeLifetime, changes: changes)
        replays = Mutex(ReplayCache(capacity: configuration.replayCapacity, usesTime: configuration.usesTime))
        wrongCodes = Mutex(
            WrongCodes(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds))
        countsWrongCodes = Atomic(configuration.wrongCodeLimit > 0)
    }

    /// Takes over what can change while the server runs: lockout times, and the counting of wrong codes.
    public func adopt(_ configuration: ServerEngine.Configuration) {
        lockouts.setDuration(UInt64(configuration.lockoutSeconds) * 1000)
        wrongCodes.withLock {
            $0.configure(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds)
        }
        countsWrongCodes.store(configuration.wrongCodeLimit > 0, ordering: .releasing)
    }

    /// Takes over how many guests there are to share the room for used codes.
    func adopt(guestCount: Int) { replays.withLock { $0.divide(among: guestCount) } }

    /// How many places for used codes are taken, those of codes that have just expired among them, and how many there
    /// are.
    public var usedCodes: (taken: Int, capacity: Int) { replays.withLock { $0.load } }

    /// Who is locked out, and until when.
    public func lockedOut(at now: Instant) -> [(address: IPAddress, lockout: Lockout)] {
        lockouts.all(at: now.uptime)
    }

    /// Lets an address in again before its time; what ended with its lockout stays ended.
    ///
    /// - Returns: Whether it was locked out.
    public func unlock(_ address: IPAddress, at now: Instant) -> Bool {
        lockouts.unlock(address, at: now.uptime)
    }

    /// Why a handshake with a right code may not begin; nil if it may, and then its code is used up.
    ///
    /// Only who knows the key gets as far as this lock.
    func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        replays.withLock { replays in
            let retired = replays.retired
            let reason = replays.refuse(code, slot: slot, at: now)
            if let latest = replays.retired, latest != retired { changes.note(.retired(latest)) }
            if reason == nil { changes.note(.usedCode(code, slot, deadline: replays.deadline(at: now))) }
            return reason
        }
    }

    /// Uses up the code of a retransmission.
    func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) {
        replays.withLock { replays in
            guard let latest = replays.extend(code, slot: slot, at: now) else { return }
            changes.note(.usedCode(code, latest, deadline: replays.deadline(at: now)))
        }
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

    // MARK: What outlives the process

    /// How many places of a table are looked through at a time, while engines wait.
    private static let placesAtATime = 512

    /// Notes all changes from now on, for `takeChanges`.
    public func beginToNoteChanges() { changes.begin() }

    /// Whether there are changes that nobody has taken; without a lock.
    public var hasChanges: Bool { changes.hasNews }

    /// Takes the changes since the last time, in their order.
    ///
    /// - Parameter entries: Is emptied and filled; its room takes what comes next.
    /// - Returns: Whether these are all; otherwise some found no room, and only `forEachEntry` names them.
    public func takeChanges(_ entries: inout [Entry]) -> Bool { changes.take(&entries) }

    /// Names all there is, some at a time, while engines go on; what changes meanwhile is among the changes too.
    ///
    /// - Parameters:
    ///   - now: The time; what is over is left out.
    ///   - body: Takes one; no engine waits for it.
    /// - Throws: What `body` throws.
    public func forEachEntry<Failure: Error>(
        at now: Instant, _ body: (Entry) throws(Failure) -> Void
    ) throws(Failure) {
        if let retired = replays.withLock({ $0.retired }) { try body(.retired(retired)) }
        try Self.inSteps(body) { places in replays.withLock { $0.entries(in: places, at: now.uptime) } }
        try Self.inSteps(body) { places in lockouts.entries(in: places, at: now.uptime) }
    }

    private static func inSteps<Failure: Error>(
        _ body: (Entry) throws(Failure) -> Void, _ look: (Range<Int>) -> (found: [Entry], isAll: Bool)
    ) throws(Failure) {
        var start = 0
        while true {
            let (found, isAll) = look(start..<start + placesAtATime)
            for entry in found { try body(entry) }
            if isAll { return }
            start += placesAtATime
        }
    }

    /// Takes up what an earlier process has left, before any engine begins.
    ///
    /// - Parameters:
    ///   - entries: In any order, but none twice; deadlines of used codes not later than those of codes used now.
    ///   - now: The time; what is over is left out, with its slot retired.
    public func restore(_ entries: [Entry], at now: Instant) {
        for entry in entries.sorted(by: { $0.end < $1.end }) {
            switch entry {
            case .usedCode(let code, let slot, let deadline):
                replays.withLock { $0.restore(code, slot, deadline: deadline, at: now) }
            case .retired(let slot):
                replays.withLock { $0.retire(slot) }
            case .lockout(let address, let lockout):
                if now.uptime < lockout.until { lockouts.restore(address, lockout, at: now.uptime) }
            }
        }
    }
}
