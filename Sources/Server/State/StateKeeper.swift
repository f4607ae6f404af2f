// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
package import DaemonCore
internal import Dispatch
internal import Glibc
internal import KeyFiles
package import KnockEngine
package import Linux
package import Logging
package import Program
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
        var file = StateFile()
        var entries: [SharedState.Entry] = []
        /// What is in the way.
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
                let isForbidden = error.number == EACCES || error.number == EPERM
                throw FatalError("state folder: \(error)", status: isForbidden ? EX_NOPERM : EX_CANTCREAT)
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

    // MARK: What was

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

    /// What is to be done every second, on any thread but one that handles events: waiting for the disk.
    package func tick() {
        queue.sync {
            note()
            synchronise()
            let now = SystemClock.now().uptime
            let isDue = state.withLock { $0.file.isDue(at: now) }
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
        let file = state.withLock { $0.file.descriptorToSynchronise() }
        guard file >= 0 else { return }
        defer { Glibc.close(file) }
        if fdatasync(file) != 0 { report(SystemError("fdatasync")) }
    }

    // MARK: A new file

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

    /// Writes all there is to a file that has no name yet, some at a time, since events wait for each.
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

    /// Does something with the file while no change is taken from the engines.
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
