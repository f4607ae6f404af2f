// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockEngine
internal import Linux
internal import Synchronization

/// Those who watch handshakes over the control socket.
///
/// Who does not read fast enough misses lines and is told how many; nobody here waits for them.
package final class WatchBoard: Sendable {
    private struct Watcher {
        let connection: Int32
        let form: ControlRequest.Form
        /// Whether it has had the answer to its request, before which nothing is shown.
        var isAnswered = false
        var missed: UInt64 = 0
    }

    /// So many at a time.
    private static let capacity = 8

    private let watchers = Mutex<[Watcher]>([])
    /// Lets events pass by the lock while nobody watches.
    private let isEmpty = Atomic(true)
    /// Whether `changed` was told that anybody watches; one change at a time.
    private let isAnnounced = Mutex(false)
    private let changed: @Sendable (Bool) -> Void

    /// Begins without watchers.
    ///
    /// - Parameter changed: Is called with whether anybody watches when the first comes and when the last has gone.
    package init(changed: @escaping @Sendable (Bool) -> Void) {
        self.changed = changed
    }

    /// Takes over a connection.
    func add(_ connection: Int32, _ form: ControlRequest.Form) {
        let hasPlace = watchers.withLock { watchers in
            Self.removeGone(&watchers)
            guard watchers.count < Self.capacity else { return false }
            watchers.append(Watcher(connection: connection, form: form))
            return true
        }
        guard hasPlace else {
            _ = UnixSocket.send(ControlAnswer.failed(EX_TEMPFAIL, "too many watch already").text, to: connection)
            close(connection)
            return
        }
        announce()
        // Only now: all that happens from here on is shown.
        watchers.withLock { watchers in
            guard let index = watchers.firstIndex(where: { $0.connection == connection }) else { return }
            _ = UnixSocket.send(ControlAnswer.done("").text, to: connection, flags: Int32(MSG_DONTWAIT))
            watchers[index].isAnswered = true
        }
    }

    /// Shows an event to all who watch.
    package func show(_ event: Event, of party: String?) {
        if isEmpty.load(ordering: .acquiring) { return }
        let line = WatchLine(event, party: party)
        let isLast = watchers.withLock { watchers in
            Self.removeGone(&watchers)
            for index in watchers.indices where watchers[index].isAnswered {
                var text = ""
                if watchers[index].missed > 0 { text = WatchLine.missed(watchers[index].missed, watchers[index].form) }
                text += watchers[index].form == .json ? line.json : line.text
                if UnixSocket.send(text, to: watchers[index].connection, flags: Int32(MSG_DONTWAIT)) {
                    watchers[index].missed = 0
                } else {
                    watchers[index].missed &+= 1
                }
            }
            return watchers.isEmpty
        }
        if isLast { announce() }
    }

    /// Lets go of who has closed the connection; call it now and then, for when there are no events.
    package func sweep() {
        if isEmpty.load(ordering: .acquiring) { return }
        let isLast = watchers.withLock { watchers in
            Self.removeGone(&watchers)
            return watchers.isEmpty
        }
        if isLast { announce() }
    }

    /// Says whether anybody watches, if that is news.
    private func announce() {
        isAnnounced.withLock { isAnnounced in
            let isWatched = watchers.withLock { !$0.isEmpty }
            guard isWatched != isAnnounced else { return }
            isEmpty.store(!isWatched, ordering: .releasing)
            changed(isWatched)
            isAnnounced = isWatched
        }
    }

    private static func removeGone(_ watchers: inout [Watcher]) {
        // Not before its answer: until then its number must remain its own.
        watchers.removeAll { watcher in
            guard watcher.isAnswered, hasGone(watcher.connection) else { return false }
            close(watcher.connection)
            return true
        }
    }

    private static func hasGone(_ connection: Int32) -> Bool {
        var byte: UInt8 = 0
        let count = uninterrupted { unsafe recv(connection, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) }
        return count == 0 || count < 0 && errno != EAGAIN
    }
}
