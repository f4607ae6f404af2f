// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Logging
internal import NetfilterQueue
package import Settings
internal import Synchronization
package import Wire

/// Keeps in a file what must outlive the daemon: lockouts, used codes, and whose the open connections are.
///
/// Changes are added to the file as soon as events are handled, which no packet waits for; a process that is killed has
/// lost what it had not handed to the system by then. A disk that loses power has lost what came after the last second
/// that was synchronised. From time to time the file is written anew, without what is over.
package final class StateKeeper: Sendable {
    private struct State: ~Copyable {
        /// nil while nothing can be written.
        var writer: StateWriter?
        /// What has changed while a new file is written.
        var pending: [Pending]?
        var entries: [SharedState.Entry] = []
        var isToBeRewritten = false
        var isUnsynchronised = false
        /// How long the file was when it was new.
        var newLength = 0
        var nextTry: UInt64 = 0
        var trouble: SystemError?

        mutating func keepPending(_ change: ConnectionChange?, most: Int) {
            guard pending != nil else { return }
            pending?.append(contentsOf: entries.map { .entry($0) })
            if let change { pending?.append(.connection(change)) }
            if let count = pending?.count, count > most { pending = nil }
        }

        mutating func write(_ change: ConnectionChange?) throws(SystemError) {
            guard writer != nil else { return }
            for entry in entries { try writer?.write(entry) }
            if let change { try writer?.write(change) }
            try writer?.flush()
            isUnsynchronised = true
        }
    }

    private enum Pending {
        case entry(SharedState.Entry)
        case connection(ConnectionChange)
    }

    /// A file may grow by this, and to three times its length, until it is written anew; in bytes.
    private static let growth = 1 << 20
    /// More changes while a new file is written are too many for it.
    private static let longestPending = 100_000
    /// How long to wait after a failure, in milliseconds.
    private static let pause: UInt64 = 10_000

    private let folder: StateFolder
    private let shared: SharedState
    private let book: ConnectionBook
    private let registry: KeyRegistry
    private let logger: Logger
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "state")

    private init(
        _ folder: StateFolder, _ shared: SharedState, _ book: ConnectionBook, _ registry: KeyRegistry, _ logger: Logger
    ) {
        (self.folder, self.shared, self.book) = (folder, shared, book)
        (self.registry, self.logger) = (registry, logger)
    }

    /// Opens the folder that the settings ask for, takes up what is kept there, and begins to keep what changes.
    ///
    /// A folder at the usual place that cannot be used is only reported, because a daemon can do its work without; one
    /// that somebody has asked for must be there. A full disk is only reported in any case, and so is a damaged file,
    /// which is set aside.
    ///
    /// - Parameters:
    ///   - settings: Name the folder, and the first queue, which tells the daemons of a host apart.
    ///   - identity: Whom the daemon will become; nil if it stays who it is.
    ///   - shared: Gets used codes and lockouts, and tells what changes; no engine may be at work yet.
    ///   - book: Gets the connections.
    ///   - registry: The guests.
    ///   - logger: Where it says what was taken up, and what is in the way.
    /// - Returns: nil if nothing is kept.
    /// - Throws: What is wrong with the folder that was asked for.
    package static func open(
        _ settings: ServerSettings, identity: Privileges.Identity?, shared: SharedState, book: ConnectionBook,
        registry: KeyRegistry, logger: Logger
    ) throws(FatalError) -> StateKeeper? {
        guard let path = settings.stateFolder else { return nil }
        let folder: StateFolder
        do throws(SystemError) {
            folder = try StateFolder(path, name: "server-\(settings.queues.lowerBound)", identity: identity)
        } catch {
            let isFull = error.number == ENOSPC || error.number == EDQUOT
            guard isFull || path == ServerSettings().stateFolder else {
                let isForbidden = error.number == EACCES || error.number == EPERM
                throw FatalError("state folder: \(error)", status: isForbidden ? EX_NOPERM : EX_CANTCREAT)
            }
            logger.warning("lockouts and used codes will not outlive this daemon: \(error)")
            return nil
        }
        let keeper = StateKeeper(folder, shared, book, registry, logger)
        keeper.restore()
        shared.beginToNoteChanges()
        keeper.rewrite()
        return keeper
    }

    // MARK: What was

    private func restore() {
        guard let content = read() else { return }
        let now = SystemClock.now()
        let kept = KeptState(content, boot: Boot.id, registry, at: now)
        shared.restore(kept.entries, at: now)
        for (flow, connection) in kept.connections { book.add(flow, connection.key, at: connection.since) }
        logger.notice(
            "state taken up",
            metadata: [
                "lockouts": "\(kept.lockouts)", "used-codes": "\(kept.usedCodes)",
                "connections": "\(kept.connections.count)",
            ])
    }

    /// The content of the file; nil if there is none that can be trusted.
    private func read() -> StateFormat.Content? {
        do throws(StateFolder.Distrust) {
            guard let bytes = try folder.read() else { return nil }
            do throws(StateFormat.Damage) {
                let content = try StateFormat.parse(bytes)
                if content.torn > 0 {
                    logger.warning(
                        "the last change of the state was not written completely, and is left out",
                        metadata: ["file": "\(folder.file)", "bytes": "\(content.torn)"])
                }
                return content
            } catch {
                setAside(error.description)
            }
        } catch {
            setAside(error.description)
        }
        return nil
    }

    private func setAside(_ reason: String) {
        var outcome = "set aside as \(folder.damagedFile)"
        do throws(SystemError) { try folder.setAside() } catch { outcome = "not to be set aside: \(error)" }
        logger.error(
            "the state of before is not used, so used codes and lockouts are forgotten: \(reason); \(outcome)",
            metadata: ["file": "\(folder.file)"])
    }

    // MARK: What changes

    /// Writes what has changed in the engines, and what became of a connection; returns at once if nothing has.
    package func note() { note(nil) }

    /// Writes that a connection was admitted.
    package func noteOpened(_ flow: Flow, _ key: KeyID?, since: Instant) { note(.opened(flow, key, since: since)) }

    /// Writes that a connection has ended.
    package func noteEnded(_ flow: Flow) { note(.ended(flow)) }

    private func note(_ change: ConnectionChange?) {
        guard change != nil || shared.hasChanges else { return }
        let error = state.withLock { state -> SystemError? in
            if !shared.takeChanges(&state.entries) { state.isToBeRewritten = true }
            state.keepPending(change, most: Self.longestPending)
            do throws(SystemError) {
                try state.write(change)
                return nil
            } catch {
                // What is in it is whole but for the last record, and is left as it is until there is a new file.
                state.writer = nil
                state.isToBeRewritten = true
                return error
            }
        }
        if let error { report(error) }
    }

    /// What is to be done every second, on any thread but one that handles events: waiting for the disk.
    package func tick() {
        queue.sync {
            note()
            synchronise()
            let now = SystemClock.now().uptime
            let isDue = state.withLock { state in
                let limit = 3 * state.newLength + Self.growth
                let isLong = (state.writer?.length ?? 0) > limit
                return (isLong || state.isToBeRewritten) && now >= state.nextTry
            }
            if isDue { rewrite() }
        }
    }

    /// Writes all of it once more, for the next daemon.
    package func close() {
        queue.sync {
            note()
            rewrite()
        }
    }

    private func synchronise() {
        let file = state.withLock { state -> Int32 in
            guard state.isUnsynchronised else { return -1 }
            state.isUnsynchronised = false
            return state.writer?.duplicate() ?? -1
        }
        guard file >= 0 else { return }
        defer { Glibc.close(file) }
        if fdatasync(file) != 0 { report(SystemError("fdatasync", errno)) }
    }

    // MARK: A new file

    private func rewrite() {
        state.withLock { state in
            state.pending = []
            state.isToBeRewritten = false
        }
        do throws(SystemError) {
            try put(try newFile())
            folder.synchronise()
            report(nil)
        } catch {
            folder.discard()
            state.withLock { state in
                state.pending = nil
                state.isToBeRewritten = true
                state.nextTry = SystemClock.now().uptime &+ Self.pause
            }
            report(error)
        }
    }

    /// All there is in a file that has no name yet.
    private func newFile() throws(SystemError) -> StateWriter {
        let now = SystemClock.now()
        let head = StateFormat.Head(
            boot: Boot.id, salt: Boot.random(), unixSeconds: now.unixSeconds, uptime: now.uptime)
        var writer = StateWriter(try folder.begin(), head, registry)
        try shared.forEachEntry(at: now) { entry throws(SystemError) in try writer.write(entry) }
        for (flow, connection) in book.all {
            try writer.write(ConnectionChange.opened(flow, connection.key, since: connection.since))
        }
        try writer.write(StateRecord.complete)
        try writer.flush()
        try writer.synchronise()
        return writer
    }

    /// Adds what has changed meanwhile, and gives the file its name.
    private func put(_ writer: consuming StateWriter) throws(SystemError) {
        var made: StateWriter? = writer
        let outcome = state.withLock { state -> Result<Void, SystemError> in
            guard let pending = state.pending, var writer = made.take() else {
                return .failure(SystemError("too many changes for a new file", EAGAIN))
            }
            do throws(SystemError) {
                for change in pending {
                    switch change {
                    case .entry(let entry): try writer.write(entry)
                    case .connection(let change): try writer.write(change)
                    }
                }
                try writer.flush()
                try folder.put()
            } catch {
                return .failure(error)
            }
            state.isUnsynchronised = !pending.isEmpty
            state.newLength = writer.length
            state.writer = consume writer
            state.pending = nil
            return .success(())
        }
        try outcome.get()
    }

    /// Says what is in the way, once until that changes, and when it no longer is.
    private func report(_ error: SystemError?) {
        let before = state.withLock { state in
            defer { state.trouble = error }
            return state.trouble
        }
        guard before != error else { return }
        if let error {
            logger.error("state not written: \(error)", metadata: ["folder": "\(folder.path)"])
        } else {
            logger.notice("state is written again", metadata: ["folder": "\(folder.path)"])
        }
    }
}
