// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
package import KnockEngine
internal import Synchronization

/// Carries events from the thread that gives verdicts to one that may take its time.
///
/// The first never waits: what finds no room is counted and lost.
package final class EventJournal: Sendable {
    private static let capacity = 4096

    private struct State {
        var events: [Event] = []
        var lost: UInt64 = 0
    }

    private let state: Mutex<State>
    private let arrival = DispatchSemaphore(value: 0)

    /// Reserves the room for waiting events.
    package init() {
        state = Mutex(State(events: Self.makeRoom()))
    }

    /// Takes all events that an engine has ready.
    package func drain(_ engine: inout some Engine & ~Copyable) {
        guard let first = engine.nextEvent() else { return }
        state.withLock { state in
            var event: Event? = first
            while let next = event {
                if state.events.count < Self.capacity { state.events.append(next) } else { state.lost &+= 1 }
                event = engine.nextEvent()
            }
        }
        arrival.signal()
    }

    /// Room for as many events as can wait, for `wait(_:)`.
    package static func makeRoom() -> [Event] {
        var events: [Event] = []
        events.reserveCapacity(capacity)
        return events
    }

    /// Waits until there are events, and takes them all.
    ///
    /// - Parameter events: Is emptied and takes the events; its room takes the next ones, so make it by `makeRoom()`.
    /// - Returns: How many were lost since the last call.
    package func wait(_ events: inout [Event]) -> UInt64 {
        arrival.wait()
        events.removeAll(keepingCapacity: true)
        var lost: UInt64 = 0
        state.withLock { state in
            // The two arrays change places, so neither ever grows.
            swap(&state.events, &events)
            swap(&state.lost, &lost)
        }
        return lost
    }
}
