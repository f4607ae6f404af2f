// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
internal import NetfilterQueue
internal import Synchronization

/// One thread that gives the verdicts of one queue.
///
/// After `start()` only that thread touches the loop, which is why this may be shared: the others ask through `wishes`.
package final class Worker<Judge: Engine & ~Copyable>: @unchecked Sendable {
    /// What other threads can ask for.
    private struct Wishes {
        var stop = false
        var counters: (@Sendable (Counters) -> Void)?
    }

    /// The thread looks for wishes at least every so many batches, however many packets are waiting.
    private static var batchesBetweenWishes: Int { 16 }
    /// How long to look for the next packet of a handshake before sleeping, in nanoseconds: to be woken takes as long,
    /// and in a near network the answer is there by then.
    private static var patience: UInt64 { 100_000 }

    private var loop: PacketLoop<Queue, Judge>
    private let journal: EventJournal
    private let waker: Waker
    private let wishes = Mutex(Wishes())
    private let thread = DispatchQueue(label: "queue")
    private let ended = DispatchSemaphore(value: 0)

    init(_ loop: consuming PacketLoop<Queue, Judge>, journal: EventJournal) throws(FatalError) {
        waker = try Waker()
        self.loop = loop
        self.journal = journal
    }

    /// Starts the thread.
    ///
    /// - Parameter failed: Is called on it if the queue can no longer be used; then it ends.
    func start(failed: @escaping @Sendable (SystemError) -> Void) {
        thread.async { [self] in
            do throws(SystemError) {
                try serve()
            } catch {
                failed(error)
            }
            ended.signal()
        }
    }

    /// Asks the thread to end, and waits until it has.
    func stop() {
        wishes.withLock { $0.stop = true }
        waker.wake()
        ended.wait()
        ended.signal()
    }

    /// Asks for the counters, which `take` gets on the thread.
    func withCounters(_ take: @escaping @Sendable (Counters) -> Void) {
        wishes.withLock { $0.counters = take }
        waker.wake()
    }

    /// The counters at the end; call this only after `stop()`.
    var finalCounters: Counters { loop.engine.counters }

    private func serve() throws(SystemError) {
        var descriptors = [
            pollfd(fd: loop.queue.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        var isBusy = false
        var batches = 0
        while true {
            if !isBusy || batches.isMultiple(of: Self.batchesBetweenWishes) {
                unsafe poll(&descriptors, nfds_t(descriptors.count), isBusy ? 0 : -1)
                if descriptors[1].revents != 0, fulfilWishes() { return }
            }
            batches &+= 1
            var batch = try loop.turn()
            journal.drain(&loop.engine, batch)
            if batch.modifiedPackets > 0 {
                let end = SystemClock.nanoseconds() &+ Self.patience
                repeat {
                    batch = try loop.turn()
                    journal.drain(&loop.engine, batch)
                } while batch.packets == 0 && SystemClock.nanoseconds() < end
            }
            isBusy = batch.packets > 0 || batch.hasTrouble
        }
    }

    /// Returns whether to end.
    private func fulfilWishes() -> Bool {
        waker.clear()
        let wishes = wishes.withLock { wishes in
            defer { wishes = Wishes(stop: wishes.stop) }
            return wishes
        }
        wishes.counters?(loop.engine.counters)
        return wishes.stop
    }
}
