// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockEngine
internal import Linux
internal import Synchronization

/// The clients that watch handshakes over the control socket.
///
/// A client that does not read fast enough misses lines and is sent their number. The daemon never waits for it.
package final class WatchBoard: Sendable {
    private struct Watcher {
        let connection: Int32
        let form: ControlRequest.Form
        /// Whether the answer to its request has been sent.
        ///
        /// Nothing is shown before that.
        var isAnswered = false
        var missed: UInt64 = 0
    }

    /// The largest number of watchers at a time.
    private static let capacity = 8

    private let watchers = Mutex<[Watcher]>([])
    /// Lets events skip the lock while nobody watches.
    private let isEmpty = Atomic(true)
    /// The last value passed to `changed`.
    ///
    /// The lock also keeps changes in order.
    private let isAnnounced = Mutex(false)
    private let changed: @Sendable (Bool) -> Void

    /// Creates a board without watchers.
    ///
    /// - Parameter changed: Called with `true` when the first watcher has come, and with `false` when the last has
    ///   gone.
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
            _ = UnixSocket.send(ControlAnswer.failed(.tryLater, "too many watch already").text, to: connection)
            close(connection)
            return
        }
        announce()
        // Answered only now: everything that happens from here on is shown.
        watchers.withLock { watchers in
            guard let index = watchers.firstIndex(where: { $0.connection == connection }) else { return }
            _ = UnixSocket.send(ControlAnswer.done("").text, to: connection, flags: Int32(MSG_DONTWAIT))
            watchers[index].isAnswered = true
        }
    }

    /// Shows an event to all watchers.
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

    /// Closes the connections of watchers that have gone.
    ///
    /// Call it regularly, for times without events.
    package func sweep() {
        if isEmpty.load(ordering: .acquiring) { return }
        let isLast = watchers.withLock { watchers in
            Self.removeGone(&watchers)
            return watchers.isEmpty
        }
        if isLast { announce() }
    }

    /// Calls `changed` if there now are watchers, or no longer are.
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
        // A watcher stays until it is answered, because its descriptor must not be reused before.
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
