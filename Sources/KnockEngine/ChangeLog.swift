// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization

/// A queue of state changes on their way out of the engines, of fixed capacity so that noting one never allocates.
final class ChangeLog: Sendable {
    private struct State {
        var entries: [SharedState.Entry] = []
        var isComplete = true
    }

    /// The maximum number of waiting changes: more than one second's worth at ten thousand handshakes per second.
    static let capacity = 16_384

    private let state = Mutex(State())
    private let isNoting = Atomic(false)
    private let isWaiting = Atomic(false)

    /// Starts noting changes.
    func begin() {
        state.withLock { $0.entries.reserveCapacity(Self.capacity) }
        isNoting.store(true, ordering: .releasing)
    }

    /// Whether changes are waiting.
    var hasNews: Bool { isWaiting.load(ordering: .acquiring) }

    func note(_ entry: SharedState.Entry) {
        guard isNoting.load(ordering: .acquiring) else { return }
        state.withLock { state in
            if state.entries.count < Self.capacity { state.entries.append(entry) } else { state.isComplete = false }
        }
        isWaiting.store(true, ordering: .releasing)
    }

    /// Takes all waiting changes.
    ///
    /// - Returns: Whether these are all changes; false if some did not fit.
    func take(_ entries: inout [SharedState.Entry]) -> Bool {
        entries.removeAll(keepingCapacity: true)
        entries.reserveCapacity(Self.capacity)
        isWaiting.store(false, ordering: .releasing)
        return state.withLock { state in
            // The two arrays are swapped, so neither ever grows.
            swap(&state.entries, &entries)
            defer { state.isComplete = true }
            return state.isComplete
        }
    }
}
