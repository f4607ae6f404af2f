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
    private let rates: Mutex<GuestRates>
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
        rates = Mutex(GuestRates(perSecond: configuration.guestSYNRate))
        wrongCodes = Mutex(
            WrongCodes(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds))
        countsWrongCodes = Atomic(configuration.wrongCodeLimit > 0)
    }

    /// Takes over what can change while the server runs: lockout times, how fast guests may be, and the counting of
    /// wrong codes.
    public func adopt(_ configuration: ServerEngine.Configuration) {
        lockouts.setDuration(UInt64(configuration.lockoutSeconds) * 1000)
        rates.withLock { $0.configure(perSecond: configuration.guestSYNRate) }
        wrongCodes.withLock {
            $0.configure(limit: configuration.wrongCodeLimit, seconds: configuration.wrongCodeSeconds)
        }
        countsWrongCodes.store(configuration.wrongCodeLimit > 0, ordering: .releasing)
    }

    /// Takes over how many guests there are to share all that.
    func adopt(guestCount: Int) {
        replays.withLock { $0.divide(among: guestCount) }
        rates.withLock { $0.adopt(guestCount: guestCount) }
        lockouts.adopt(guestCount: guestCount)
    }

    /// How many places for used codes are taken, those of codes that have just expired among them, and how many there
    /// are at most.
    public var usedCodes: (taken: Int, capacity: Int) { replays.withLock { $0.load } }

    /// How much memory used codes may take beyond what there is from the start, in bytes.
    public static func mostMemory(_ configuration: ServerEngine.Configuration) -> Int {
        configuration.usesTime ? configuration.replayCapacity * UsedCodeTable.bytesPerEntry : 0
    }

    /// How much memory the used codes have, and how much of that was touched, in bytes.
    var usedCodeMemory: (reserved: Int, touched: Int) {
        replays.withLock { $0.withTable { ($0.memory, $0.touchedMemory) } }
    }

    /// Sees to it that there is memory for the used codes that come before the next time, and gives back what is left.
    ///
    /// To be called every second, on a thread that gives no verdicts. Engines wait for some microseconds at a time.
    ///
    /// - Returns: Whether something was given back.
    @discardableResult
    public func keepRoom(at now: Instant) -> Bool {
        let step = Self.placesAtATime / 4
        while !replays.withLock({ $0.removeExpired(at: now.uptime, atMost: step) }) {}
        while !replays.withLock({ $0.withTable { $0.joinBuckets(atMost: step) } }) {}
        // What is made or let go is so outside of the lock.
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

    /// Who is locked out, and until when.
    public func lockedOut(at now: Instant) -> [(subject: Lockout.Subject, lockout: Lockout)] {
        lockouts.all(at: now.uptime)
    }

    /// Says whether a guest is locked out at an address; nil for the address itself.
    public func isLockedOut(_ address: IPAddress, _ key: KeyID?, at now: Instant) -> Bool {
        lockouts.standing(of: address, key, at: now.uptime).isLockedOut
    }

    /// Lets all at an address in again before their time; what ended with their lockouts stays ended.
    ///
    /// - Returns: Whether anybody was locked out.
    public func unlock(_ address: IPAddress, at now: Instant) -> Bool {
        lockouts.unlock(address, at: now.uptime)
    }

    /// Why a handshake with a right code may not begin; nil if it may, and then its code is used up.
    ///
    /// Only who knows the key gets as far as this lock.
    func refuse(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        // A replay takes no token: else who has seen a guest's SYNs could keep the guest out.
        guard rates.withLock({ $0.mayBegin(code.key, at: now.uptime) }) else { return .guestTooFast }
        let reason = useUp(code, slot: slot, at: now)
        if reason == nil { rates.withLock { $0.begin(code.key, at: now.uptime) } }
        return reason
    }

    private func useUp(_ code: UsedCode, slot: TimeSlot, at now: Instant) -> Reason? {
        replays.withLock { replays in
            if let reason = replays.refuse(code, slot: slot, at: now) { return reason }
            noteUse(of: code, &replays, at: now)
            return nil
        }
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

    /// Counts a wrong code, and locks its sender out if it is one too many.
    ///
    /// - Returns: Whether it was.
    func isOneTooMany(from address: IPAddress, at now: Instant) -> Bool {
        guard countsWrongCodes.load(ordering: .acquiring) else { return false }
        guard wrongCodes.withLock({ $0.count(address, at: now.uptime) }) else { return false }
        lockouts.lock(Lockout.Subject(address, nil), .tooManyWrongCodes, at: now.uptime)
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
    /// - Returns: Whether these are all; otherwise some found no room, and only `next` names them.
    public func takeChanges(_ entries: inout [Entry]) -> Bool { changes.take(&entries) }

    /// How far somebody has come who looks at all there is, some at a time.
    public struct Survey: Sendable {
        fileprivate enum Part { case slots, usedCodes, lockouts, nothing }

        fileprivate var part = Part.slots
        fileprivate var start = 0

        /// Begins.
        public init() {}
    }

    /// Gives some of all there is, while engines go on; what changes from then on is among the changes too.
    ///
    /// - Parameters:
    ///   - survey: How far it has come.
    ///   - now: The time; what is over is left out.
    /// - Returns: Entries, or none and there may be more; nil if that was all.
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

    /// Takes up what an earlier process has left, before any engine begins.
    ///
    /// - Parameters:
    ///   - entries: Some of it, in any order; where time is not used, all of it, since the order of used codes is that
    ///     of their deadlines.
    ///   - now: The time; what is over is left out.
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
