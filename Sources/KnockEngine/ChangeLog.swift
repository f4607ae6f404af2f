// SPDX-License-Identifier: GPL-2.0-or-later
internal import Synchronization

extension SharedState {
    /// What a process that begins after this one has to know.
    public enum Entry: Equatable, Sendable {
        /// A code has been used, and is remembered until a deadline in milliseconds of uptime.
        case usedCode(UsedCode, deadline: UInt64)
        /// Codes of these slots have been used.
        case slots(SlotSpan)
        /// Somebody is locked out, or was until now.
        case lockout(Lockout.Subject, Lockout)

        /// When it is over, in milliseconds of uptime.
        var end: UInt64 {
            switch self {
            case .usedCode(_, let deadline): deadline
            case .slots: 0
            case .lockout(_, let lockout): lockout.until
            }
        }
    }
}

/// Changes on their way out of the engines: as many as there is room for, so that noting one never allocates.
final class ChangeLog: Sendable {
    private struct State {
        var entries: [SharedState.Entry] = []
        var isComplete = true
    }

    /// So many changes can wait: at ten thousand handshakes a second, for more than a second.
    static let capacity = 16_384

    private let state = Mutex(State())
    private let isNoting = Atomic(false)
    private let isWaiting = Atomic(false)

    /// Notes changes from now on.
    func begin() {
        state.withLock { $0.entries.reserveCapacity(Self.capacity) }
        isNoting.store(true, ordering: .releasing)
    }

    /// Whether something waits.
    var hasNews: Bool { isWaiting.load(ordering: .acquiring) }

    func note(_ entry: SharedState.Entry) {
        guard isNoting.load(ordering: .acquiring) else { return }
        state.withLock { state in
            if state.entries.count < Self.capacity { state.entries.append(entry) } else { state.isComplete = false }
        }
        isWaiting.store(true, ordering: .releasing)
    }

    /// Takes all that waits.
    ///
    /// - Returns: Whether none was left out for want of room.
    func take(_ entries: inout [SharedState.Entry]) -> Bool {
        entries.removeAll(keepingCapacity: true)
        entries.reserveCapacity(Self.capacity)
        isWaiting.store(false, ordering: .releasing)
        return state.withLock { state in
            // The two change places, so neither ever grows.
            swap(&state.entries, &entries)
            defer { state.isComplete = true }
            return state.isComplete
        }
    }
}
