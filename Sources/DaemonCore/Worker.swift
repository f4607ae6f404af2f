// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
internal import Linux
internal import Netfilter
internal import Synchronization

/// A thread that gives the verdicts of one queue.
///
/// After `start()`, only that thread accesses the loop, so this class is safe to share between threads. Other threads
/// leave their requests in `wishes`.
package final class Worker<Judge: Engine & ~Copyable>: @unchecked Sendable {
    /// The requests of other threads.
    private struct Wishes {
        var stop = false
        var tasks: [@Sendable (inout Judge) -> Void] = []
    }

    /// The number of batches after which the thread checks for requests even if more packets are waiting.
    private static var batchesBetweenWishes: Int { 16 }
    /// The longest delay before ordinary events are announced, in milliseconds.
    ///
    /// The thread that handles them would compete for the processor with the rest of the handshake that caused them.
    private static var announcementDelay: Int32 { 10 }
    /// The number of waits for packets after which events are announced in any case.
    private static var longestWait: Int { 16 }

    private var loop: PacketLoop<Queue, Judge>
    private let journal: EventJournal
    private let waker: Waker
    private let wishes = Mutex(Wishes())
    private let thread = DispatchQueue(label: "queue")
    private let ended = DispatchSemaphore(value: 0)

    init(_ loop: consuming PacketLoop<Queue, Judge>, journal: EventJournal) throws(FatalError) {
        waker = try fatally { () throws(SystemError) in try Waker() }
        self.loop = loop
        self.journal = journal
    }

    /// Starts the thread.
    ///
    /// - Parameter failed: Called on the thread, before it ends, if the queue has become unusable.
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

    /// Asks the thread to end, and waits until it has ended.
    func stop() {
        wishes.withLock { $0.stop = true }
        waker.wake()
        ended.wait()
        ended.signal()
    }

    /// Runs a task with the engine on the worker's thread, between two batches of packets; soon, but not at once.
    package func perform(_ task: @escaping @Sendable (inout Judge) -> Void) {
        wishes.withLock { $0.tasks.append(task) }
        waker.wake()
    }

    /// The final counters.
    ///
    /// Read them only after `stop()`.
    var finalCounters: Counters { loop.engine.counters }

    /// Gives verdicts until the thread is asked to end.
    ///
    /// The engine's type is named in other modules, and generic code is not specialised across modules. Without these
    /// attributes, each packet would go through witness tables. With them, the type is checked once per thread.
    @_specialize(where Judge == ServerEngine)
    @_specialize(where Judge == ClientEngine)
    private func serve() throws(SystemError) {
        var descriptors = [
            pollfd(fd: loop.queue.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        var isBusy = false
        var hasNews = false
        var waits = 0
        var batches = 0
        while true {
            if !isBusy || batches.isMultiple(of: Self.batchesBetweenWishes) {
                let patience = isBusy ? 0 : hasNews ? Self.announcementDelay : -1
                let isQuiet = unsafe poll(&descriptors, nfds_t(descriptors.count), patience) == 0
                waits = hasNews ? waits + 1 : 0
                if hasNews, isQuiet || waits > Self.longestWait {
                    journal.announce()
                    hasNews = false
                }
                if descriptors[1].revents != 0, fulfilWishes() { return }
            }
            batches &+= 1
            let batch = try loop.turn()
            isBusy = batch.packets > 0 || batch.trouble.isAny
            if journal.drain(&loop.engine, batch) { hasNews = true }
        }
    }

    /// Carries out the requests, and returns whether the thread should end.
    private func fulfilWishes() -> Bool {
        waker.clear()
        let wishes = wishes.withLock { wishes in
            defer { wishes = Wishes(stop: wishes.stop) }
            return wishes
        }
        for task in wishes.tasks { task(&loop.engine) }
        return wishes.stop
    }
}
