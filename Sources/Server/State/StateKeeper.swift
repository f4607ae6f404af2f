// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
package import DaemonCore
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Linux
package import Logging
package import Settings
internal import Synchronization
package import Wire

/// Saves to a file whatever must outlive the daemon: lockouts, used codes, and the guests of open connections.
///
/// Changes are appended to the file when events are handled, which no packet waits for. If the process is killed,
/// changes that were not handed to the system are lost. If the power fails, changes since the last synchronisation,
/// which happens every second, are lost. From time to time the file is rewritten without obsolete records.
package final class StateKeeper: Sendable {
    private struct State: ~Copyable {
        var file = StateFile()
        var entries: [SharedState.Entry] = []
        /// The current error.
        var trouble: SystemError?
    }

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

    /// Opens the configured folder, restores the state in it, and starts recording changes.
    ///
    /// If the default folder cannot be used, that is only logged, because a daemon can run without it. A folder that
    /// the configuration names explicitly must be usable. A full disk is only logged in any case, and so is a damaged
    /// file, which is set aside.
    ///
    /// - Parameters:
    ///   - settings: The folder, and the first queue, which distinguishes the daemons of a host.
    ///   - identity: The user that the daemon will become; nil if it keeps its user.
    ///   - shared: Receives used codes and lockouts, and reports changes. No engine may be running yet.
    ///   - book: Receives the connections.
    ///   - registry: The guests.
    ///   - logger: The log for what was restored and for errors.
    /// - Returns: The keeper; nil if no state is kept.
    /// - Throws: What is wrong with the configured folder.
    package static func open(
        _ settings: ServerSettings, identity: Identity?, shared: SharedState, book: ConnectionBook,
        registry: KeyRegistry, logger: Logger
    ) throws(FatalError) -> StateKeeper? {
        guard let path = settings.stateFolder else { return nil }
        let folder: StateFolder
        do throws(SystemError) {
            folder = try StateFolder(path, name: "server-\(settings.queues.lowerBound)", identity: identity)
        } catch {
            let isFull = error.number == ENOSPC || error.number == EDQUOT
            guard isFull || path == ServerSettings().stateFolder else {
                throw FatalError(
                    "\(error)", at: "state folder", status: error.isForbidden ? .noPermission : .cannotCreate)
            }
            logger.warning("lockouts and used codes will not outlive this daemon: \(error)")
            return nil
        }
        let keeper = StateKeeper(folder, shared, book, registry, logger)
        keeper.restore(usesTime: !settings.noTime)
        shared.beginToNoteChanges()
        keeper.rewrite()
        return keeper
    }

    // MARK: Restoring

    private func restore(usesTime: Bool) {
        let now = SystemClock.now()
        var kept = KeptState(boot: Boot.id, registry, at: now, usesTime: usesTime) { [shared] entries in
            shared.restore(entries, at: now)
        }
        guard folder.content(logger, { kept.take($1, $0) }) else { return }
        kept.finish()
        for (flow, connection) in kept.connections { book.add(flow, connection.key, at: connection.since) }
        logger.notice(
            "state taken up",
            metadata: [
                "lockouts": "\(kept.lockouts)", "used-codes": "\(shared.usedCodes.taken)",
                "connections": "\(kept.connections.count)",
            ])
    }

    // MARK: Recording changes

    /// Writes the changes in the engines; returns at once if there are none.
    package func note() { note(nil) }

    /// Writes the changes, and that a connection was admitted.
    package func noteOpened(_ flow: Flow, _ key: KeyID?, since: Instant) { note(.opened(flow, key, since: since)) }

    /// Writes the changes, and that a connection has ended.
    package func noteEnded(_ flow: Flow) { note(.ended(flow)) }

    private func note(_ change: ConnectionChange?) {
        guard change != nil || shared.hasChanges else { return }
        let error = state.withLock { state -> SystemError? in
            let isComplete = shared.takeChanges(&state.entries)
            do throws(SystemError) {
                try state.file.add(state.entries, isComplete: isComplete, change)
                return nil
            } catch {
                return error
            }
        }
        if let error { report(error) }
    }

    /// Writes and synchronises changes.
    ///
    /// Call it every second, not on the thread that handles events: it waits for the disk.
    package func tick() {
        queue.sync {
            note()
            synchronise()
            let now = SystemClock.now().uptime
            let isDue = state.withLock { $0.file.isDue(at: now) }
            if isDue { rewrite() }
        }
    }

    /// Writes the complete state once more, for the next daemon.
    package func close() {
        queue.sync {
            note()
            rewrite()
        }
    }

    private func synchronise() {
        let file = state.withLock { $0.file.descriptorToSynchronise() }
        guard file >= 0 else { return }
        defer { Glibc.close(file) }
        if fdatasync(file) != 0 { report(SystemError("fdatasync")) }
    }

    // MARK: Rewriting

    private func rewrite() {
        do throws(SystemError) {
            try writeAll(at: SystemClock.now())
            try change { state throws(SystemError) in try state.file.goOn(in: folder) }
            folder.synchronise()
            report(nil)
        } catch {
            folder.discard()
            state.withLock { $0.file.giveUp(at: SystemClock.now().uptime) }
            report(error)
        }
    }

    /// Writes the complete state to a file under a temporary name, in small parts, because events wait for each part.
    private func writeAll(at now: Instant) throws(SystemError) {
        let head = StateFormat.Head(
            boot: Boot.id, salt: Boot.random(), unixSeconds: now.unixSeconds, uptime: now.uptime)
        let file = try folder.begin()
        state.withLock { $0.file.beginAnew(StateWriter(file, head, registry)) }
        var survey = SharedState.Survey()
        var isAll = false
        while !isAll {
            try change { state throws(SystemError) in
                guard let entries = shared.next(&survey, at: now) else {
                    isAll = true
                    return
                }
                try state.file.addToNew(entries)
            }
        }
        try change { state throws(SystemError) in
            let connections = book.all.map { flow, connection in
                ConnectionChange.opened(flow, connection.key, since: connection.since)
            }
            try state.file.addToNew([], connections)
        }
        var descriptor: Int32 = -1
        try change { state throws(SystemError) in descriptor = try state.file.completeNew() }
        defer { Glibc.close(descriptor) }
        guard fdatasync(descriptor) == 0 else { throw SystemError("fdatasync") }
    }

    /// Changes the file while no change is taken from the engines.
    private func change(
        _ body: (inout State) throws(SystemError) -> Void
    ) throws(SystemError) {
        let error = state.withLock { state -> SystemError? in
            do throws(SystemError) {
                try body(&state)
                return nil
            } catch {
                return error
            }
        }
        if let error { throw error }
    }

    /// Logs an error when it first occurs or changes, and when it is gone.
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
