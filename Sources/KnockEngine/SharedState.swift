// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Synchronization
public import Wire

/// The state shared by the engines of one server, each on a thread of its own: lockouts and used codes.
///
/// Pending handshakes are not shared: the kernel hands both directions of an address pair to the same queue.
public final class SharedState: Sendable {
    let lockouts: Lockouts
    private let replays: Mutex<ReplayCache>
    private let rates: Mutex<GuestRates>
    private let changes = ChangeLog()
    private let wrongCodes: Mutex<WrongCodes>
    /// Lets wrong codes skip the lock if they are not counted.
    private let countsWrongCodes: Atomic<Bool>

    /// Creates empty tables of the sizes in the configuration.
    public init(_ configuration: ServerEngine.Configuration) {
        lockouts = Lockouts(
            capacity: configuration.lockoutCapacity, duration: UInt64(configuration.lockoutSeconds) * 1000,
            memory: ServerEngine.handshakeLifetime, changes: changes)
        replays = Mutex(ReplayCache(capacity: configuration.replayCapacity, usesTime: configuration.usesTime))
        rates = Mutex(GuestRates(perSecond: configuration.guestSYNRate))
        wrongCodes = Mutex(
            WrongCodes(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds))
        countsWrongCodes = Atomic(configuration.wrongCodeLimit > 0)
    }

    /// Changes all settings that can change at run time: the lockout time, the rate limit and the wrong code limit.
    public func adopt(_ configuration: ServerEngine.Configuration) {
        lockouts.setDuration(UInt64(configuration.lockoutSeconds) * 1000)
        rates.withLock { $0.configure(perSecond: configuration.guestSYNRate) }
        wrongCodes.withLock {
            $0.configure(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds)
        }
        countsWrongCodes.store(configuration.wrongCodeLimit > 0, ordering: .releasing)
    }

    /// Sets the number of guests that share the tables.
    func adopt(guestCount: Int) {
        replays.withLock { $0.divide(among: guestCount) }
        rates.withLock { $0.adopt(guestCount: guestCount) }
        lockouts.adopt(guestCount: guestCount)
    }

    /// The number of used codes, including expired ones that have not been removed yet, and the maximum.
    public var usedCodes: (taken: Int, capacity: Int) { replays.withLock { $0.load } }

    /// Returns the maximum memory for used codes, in addition to what is reserved at the start, in bytes.
    public static func mostMemory(_ configuration: ServerEngine.Configuration) -> Int {
        configuration.usesTime ? configuration.replayCapacity * UsedCodeTable.bytesPerEntry : 0
    }

    /// The memory reserved for used codes, and the part of it that was touched, in bytes.
    var usedCodeMemory: (reserved: Int, touched: Int) {
        replays.withLock { $0.withTable { ($0.memory, $0.touchedMemory) } }
    }

    /// Provides memory for the used codes that arrive before the next call, and gives back unneeded memory.
    ///
    /// To be called every second, on a thread that runs no engine. Engines wait for it a few microseconds at a time.
    ///
    /// - Parameter now: The current time.
    /// - Returns: Whether memory was given back.
    @discardableResult
    public func keepRoom(at now: Instant) -> Bool {
        let step = Self.placesAtATime / 4
        while !replays.withLock({ $0.removeExpired(at: now.uptime, atMost: step) }) {}
        while !replays.withLock({ $0.withTable { $0.joinBuckets(atMost: step) } }) {}
        // Memory is allocated and freed outside the lock.
        let places = replays.withLock { $0.withTable { $0.chunkPlaces } }
        while replays.withLock({ $0.withTable { $0.wantsChunk } }) {
            var chunk: UsedCodeTable.Chunk? = UsedCodeTable.Chunk(places: places)
            replays.withLock { replays in replays.withTable { if let chunk = chunk.take() { $0.add(chunk) } } }
        }
        var hasGivenBack = false
        while replays.withLock({ $0.withTable { $0.takeSurplus() } }) != nil { hasGivenBack = true }
        while replays.withLock({ $0.withTable { $0.hasUsedEmptyChunk } }) {
            var chunk = UsedCodeTable.Chunk(places: places)
            replays.withLock { replays in replays.withTable { $0.exchange(&chunk) } }
            hasGivenBack = true
        }
        if let capacity = replays.withLock({ $0.withTable { $0.wantedIndexCapacity } }) {
            var memory: [UInt32] = []
            memory.reserveCapacity(capacity)
            replays.withLock { replays in replays.withTable { $0.exchangeIndex(&memory) } }
            hasGivenBack = true
        }
        return hasGivenBack
    }

    /// Returns all lockouts in force.
    public func lockedOut(at now: Instant) -> [(subject: Lockout.Subject, lockout: Lockout)] {
        lockouts.all(at: now.uptime)
    }

    /// Returns whether a guest is locked out at an address; a nil key asks about the address itself.
    public func isLockedOut(_ address: IPAddress, _ key: KeyID?, at now: Instant) -> Bool {
        lockouts.standing(of: address, key, at: now.uptime).isLockedOut
    }

    /// Ends all lockouts of an address early; handshakes that they ended are not restored.
    ///
    /// - Returns: Whether there were any.
    public func unlock(_ address: IPAddress, at now: Instant) -> Bool {
        lockouts.unlock(address, at: now.uptime)
    }

    /// Claims a valid code for a handshake.
    ///
    /// Only senders that know the key get as far as this lock.
    ///
    /// - Returns: Why the handshake is refused; nil if the code is its own now.
    func claim(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        // A replay takes no token: otherwise anyone who has seen a guest's SYNs could keep the guest out.
        guard rates.withLock({ $0.mayBegin(code.key, at: now.uptime) }) else { return .guestTooFast }
        let reason = replays.withLock { replays in
            let reason = replays.claim(code, slot: slot, at: now)
            if reason == nil { noteUse(of: code, &replays, at: now) }
            return reason
        }
        if reason == nil { rates.withLock { $0.begin(code.key, at: now.uptime) } }
        return reason
    }

    /// Uses up the code of a retransmission.
    func extend(_ code: UsedCode, slot: TimeSlot, at now: Instant) {
        replays.withLock { replays in
            if replays.extend(code, slot: slot, at: now) { noteUse(of: code, &replays, at: now) }
        }
    }

    private func noteUse(of code: UsedCode, _ replays: inout ReplayCache, at now: Instant) {
        if let span = replays.takeBegunSlot() { changes.note(.slots(span)) }
        changes.note(.usedCode(code, deadline: replays.deadline(at: now)))
    }

    /// Counts a wrong code, and locks out its source address if the limit is reached.
    ///
    /// - Returns: Whether the address was locked out.
    func countWrongCode(from address: IPAddress, at now: Instant) -> Bool {
        guard countsWrongCodes.load(ordering: .acquiring) else { return false }
        guard wrongCodes.withLock({ $0.count(address, at: now.uptime) }) else { return false }
        lockouts.lock(Lockout.Subject(address, nil), .tooManyWrongCodes, at: now.uptime)
        return true
    }

    // MARK: What outlives the process

    /// The number of places of a table examined in one step, while engines wait.
    private static let placesAtATime = 512

    /// Starts noting all changes for `takeChanges`.
    public func beginToNoteChanges() { changes.begin() }

    /// Whether changes are waiting to be taken; checked without a lock.
    public var hasChanges: Bool { changes.hasNews }

    /// Takes the changes since the last call, in order.
    ///
    /// - Parameter entries: Emptied and filled; its memory is reused for later changes.
    /// - Returns: Whether these are all changes; false if some did not fit, so that only `next` returns them.
    public func takeChanges(_ entries: inout [Entry]) -> Bool { changes.take(&entries) }

    /// The progress of a walk over the whole state.
    public struct Survey: Sendable {
        fileprivate enum Part { case slots, usedCodes, lockouts, nothing }

        fileprivate var part = Part.slots
        fileprivate var start = 0

        public init() {}
    }

    /// Returns the next part of the whole state; changes made during the walk are also noted for `takeChanges`.
    ///
    /// - Parameters:
    ///   - survey: The progress of the walk.
    ///   - now: The current time; expired entries are left out.
    /// - Returns: The entries of this part, possibly none; nil at the end.
    public func next(_ survey: inout Survey, at now: Instant) -> [Entry]? {
        let places = survey.start..<survey.start + Self.placesAtATime
        switch survey.part {
        case .slots:
            survey.part = .usedCodes
            return replays.withLock { $0.spans }.map { .slots($0) }
        case .usedCodes:
            let (found, isAll) = replays.withLock { $0.entries(in: places, at: now.uptime) }
            (survey.part, survey.start) = isAll ? (.lockouts, 0) : (.usedCodes, places.upperBound)
            return found
        case .lockouts:
            let (found, isAll) = lockouts.entries(in: places, at: now.uptime)
            (survey.part, survey.start) = isAll ? (.nothing, 0) : (.lockouts, places.upperBound)
            return found
        case .nothing:
            return nil
        }
    }

    /// Restores the state that an earlier process has left; to be called before any engine starts.
    ///
    /// - Parameters:
    ///   - entries: A part of the state, in any order; if time is not used, all of it, because used codes are kept in
    ///     the order of their deadlines.
    ///   - now: The current time; expired entries are left out.
    public func restore(_ entries: [Entry], at now: Instant) {
        for entry in entries.sorted(by: { $0.end < $1.end }) {
            switch entry {
            case .usedCode(let code, let deadline):
                replays.withLock { $0.restore(code, deadline: deadline, at: now) }
            case .slots(let span):
                replays.withLock { $0.restore(span, at: now) }
            case .lockout(let subject, let lockout):
                if now.uptime < lockout.until { lockouts.restore(subject, lockout, at: now.uptime) }
            }
        }
        keepRoom(at: now)
    }
}
