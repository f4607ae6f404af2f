// SPDX-License-Identifier: GPL-2.0-or-later
package import Dispatch
internal import Glibc
package import KnockEngine
package import Netfilter
internal import Synchronization

/// Carries events from the threads that give verdicts to a thread that may be slow.
///
/// The verdict threads do not wait: events that do not fit are counted and lost. Events that require an action are
/// never lost. They have room that other events cannot use, and while it is full, no verdict is given, so no client is
/// admitted without the daemon's knowledge.
package final class EventJournal: Sendable {
    /// Everything that has happened since the last call of `wait`.
    package struct Entries: Sendable {
        /// The events, in order.
        package var events: [Event] = []
        /// The number of events that did not fit.
        package var lost: UInt64 = 0
        /// What went wrong with the queues.
        package var trouble = QueueTrouble()

        /// Creates an empty collection with room for all waiting events.
        package init() {
            events.reserveCapacity(EventJournal.capacity + EventJournal.dutyCapacity)
        }

        /// Adds an event, and returns whether it was added or may be lost.
        mutating func take(_ event: Event) -> Bool {
            if event.reason.isDuty {
                guard events.count < EventJournal.capacity + EventJournal.dutyCapacity else { return false }
                events.append(event)
            } else if events.count < EventJournal.capacity {
                events.append(event)
            } else {
                lost &+= 1
            }
            return true
        }

        mutating func clear() {
            events.removeAll(keepingCapacity: true)
            (lost, trouble) = (0, QueueTrouble())
        }
    }

    /// The number of events of any kind that can wait.
    fileprivate static let capacity = 4096
    /// The number of further events that can wait if they require an action.
    fileprivate static let dutyCapacity = 16_384
    /// The time between two attempts to add such an event, in microseconds.
    private static let pause: UInt32 = 1000

    private let entries = Mutex(Entries())
    private let arrival = DispatchSemaphore(value: 0)
    private let isFinished = Atomic(false)

    package init() {}

    /// Takes all pending events of an engine, and the problems of a batch.
    ///
    /// Events that end connections are announced at once.
    ///
    /// - Parameters:
    ///   - engine: The engine.
    ///   - batch: The batch.
    /// - Returns: Whether there is something left to announce.
    package func drain(_ engine: inout some Engine & ~Copyable, _ batch: ReceivedBatch = ReceivedBatch()) -> Bool {
        var event = engine.nextEvent()
        guard event != nil || batch.trouble.isAny else { return false }
        var isUrgent = false
        while event != nil {
            entries.withLock { entries in
                while let next = event, entries.take(next) {
                    if next.reason.endsConnections { isUrgent = true }
                    event = engine.nextEvent()
                }
            }
            guard event != nil else { break }
            announce()
            usleep(Self.pause)
        }
        entries.withLock { $0.trouble += batch.trouble }
        if isUrgent { announce() }
        return !isUrgent
    }

    /// Wakes the waiting thread.
    package func announce() {
        arrival.signal()
    }

    /// Ends the journal: the waiting thread takes what is left, and then stops.
    package func finish() {
        isFinished.store(true, ordering: .releasing)
        announce()
    }

    /// Waits for events or problems, and takes all of them.
    ///
    /// - Parameters:
    ///   - entries: Replaced by the new entries. Its memory is reused for the next ones.
    ///   - deadline: The time to return at if nothing happens.
    /// - Returns: Whether there may be more; false after `finish`.
    package func wait(_ entries: inout Entries, until deadline: DispatchTime = .distantFuture) -> Bool {
        _ = arrival.wait(timeout: deadline)
        let mayGoOn = !isFinished.load(ordering: .acquiring)
        entries.clear()
        // The two are swapped, so neither ever grows.
        self.entries.withLock { swap(&$0, &entries) }
        return mayGoOn
    }
}
