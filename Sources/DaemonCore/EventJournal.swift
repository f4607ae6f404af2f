// SPDX-License-Identifier: GPL-2.0-or-later
package import Dispatch
internal import Glibc
package import KnockEngine
package import Netfilter
internal import Synchronization

/// Carries events from the threads that give verdicts to one that may take its time.
///
/// The first do not wait for the latter: what finds no room is counted and lost. Only events that carry a duty are never
/// lost: they have room that no others take, and while that is full, no verdict is given, so nobody gets in of whom the
/// daemon would know nothing.
package final class EventJournal: Sendable {
    /// What has happened since it was last asked for.
    package struct Entries: Sendable {
        /// Events in their order.
        package var events: [Event] = []
        /// How many events found no room.
        package var lost: UInt64 = 0
        /// How many times packets got no verdict because they were not fetched fast enough.
        package var overflows = 0
        /// How many verdicts the kernel refused.
        package var refusedVerdicts = 0
        /// How many messages were not what the kernel sends.
        package var malformedMessages = 0

        /// Reserves the room for waiting events.
        package init() {
            events.reserveCapacity(EventJournal.capacity + EventJournal.dutyCapacity)
        }

        /// Returns whether there was room, or the event may be lost.
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
            (lost, overflows, refusedVerdicts, malformedMessages) = (0, 0, 0, 0)
        }
    }

    /// Room for all events.
    fileprivate static let capacity = 4096
    /// More room, for those that carry a duty alone.
    fileprivate static let dutyCapacity = 16_384
    /// How long to wait for room for such a one, in microseconds.
    private static let pause: UInt32 = 1000

    private let entries = Mutex(Entries())
    private let arrival = DispatchSemaphore(value: 0)
    private let isFinished = Atomic(false)

    /// Reserves the room for waiting events.
    package init() {}

    /// Takes all events that an engine has ready, and what went wrong with a batch.
    ///
    /// A lockout is announced at once: connections are to be closed.
    ///
    /// - Parameters:
    ///   - engine: Whose events.
    ///   - batch: What went wrong.
    /// - Returns: Whether there is something to announce.
    package func drain(_ engine: inout some Engine & ~Copyable, _ batch: ReceivedBatch = ReceivedBatch()) -> Bool {
        var event = engine.nextEvent()
        guard event != nil || batch.hasTrouble else { return false }
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
        entries.withLock { entries in
            entries.overflows += batch.overflowed ? 1 : 0
            entries.refusedVerdicts += batch.refusedVerdicts
            entries.malformedMessages += batch.malformedMessages
        }
        if isUrgent { announce() }
        return !isUrgent
    }

    /// Wakes who waits.
    package func announce() {
        arrival.signal()
    }

    /// Nothing more will come: who waits is to take what is there, and end.
    package func finish() {
        isFinished.store(true, ordering: .releasing)
        announce()
    }

    /// Waits until there is something, and takes it all.
    ///
    /// - Parameters:
    ///   - entries: Is emptied and filled; its room takes what comes next.
    ///   - deadline: When to return in any case.
    /// - Returns: Whether there may be more; false after `finish`.
    package func wait(_ entries: inout Entries, until deadline: DispatchTime = .distantFuture) -> Bool {
        _ = arrival.wait(timeout: deadline)
        let mayGoOn = !isFinished.load(ordering: .acquiring)
        entries.clear()
        // The two change places, so neither ever grows.
        self.entries.withLock { swap(&$0, &entries) }
        return mayGoOn
    }
}
