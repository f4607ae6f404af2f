// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import KnockEngine
internal import Synchronization

/// Those who watch handshakes over the control socket.
///
/// Who does not read fast enough misses lines and is told how many; nobody here waits for them.
package final class WatchBoard: Sendable {
    private struct Watcher {
        let connection: Int32
        let form: ControlRequest.Form
        var missed: UInt64 = 0
    }

    /// So many at a time.
    private static let capacity = 8

    private let watchers = Mutex<[Watcher]>([])
    /// Lets events pass by the lock while nobody watches.
    private let isEmpty = Atomic(true)
    private let changed: @Sendable (Bool) -> Void

    /// Begins without watchers.
    ///
    /// - Parameter changed: Is called with whether anybody watches when the first comes and when the last has gone.
    package init(changed: @escaping @Sendable (Bool) -> Void) {
        self.changed = changed
    }

    /// Takes over a connection.
    func add(_ connection: Int32, _ form: ControlRequest.Form) {
        let count = watchers.withLock { watchers in
            guard watchers.count < Self.capacity else { return 0 }
            watchers.append(Watcher(connection: connection, form: form))
            return watchers.count
        }
        guard count > 0 else {
            _ = UnixSocket.send(ControlAnswer.failed(EX_TEMPFAIL, "too many watch already").text, to: connection)
            close(connection)
            return
        }
        isEmpty.store(false, ordering: .releasing)
        if count == 1 { changed(true) }
        _ = UnixSocket.send(ControlAnswer.done("").text, to: connection)
    }

    /// Shows an event to all who watch.
    package func show(_ event: Event, of party: String?) {
        if isEmpty.load(ordering: .acquiring) { return }
        let line = WatchLine(event, party: party)
        let isLast = watchers.withLock { watchers in
            for index in watchers.indices.reversed() {
                guard !Self.hasGone(watchers[index].connection) else {
                    close(watchers.remove(at: index).connection)
                    continue
                }
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
        if isLast { end() }
    }

    /// Lets go of who has closed the connection; call it now and then, for when there are no events.
    package func sweep() {
        if isEmpty.load(ordering: .acquiring) { return }
        let isLast = watchers.withLock { watchers in
            for index in watchers.indices.reversed() where Self.hasGone(watchers[index].connection) {
                close(watchers.remove(at: index).connection)
            }
            return watchers.isEmpty
        }
        if isLast { end() }
    }

    private func end() {
        isEmpty.store(true, ordering: .releasing)
        changed(false)
    }

    private static func hasGone(_ connection: Int32) -> Bool {
        var byte: UInt8 = 0
        let count = unsafe recv(connection, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }
}
