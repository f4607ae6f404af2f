// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
internal import Linux
internal import Netfilter
internal import Program
internal import Synchronization

/// One thread that gives the verdicts of one queue.
///
/// After `start()` only that thread touches the loop, which is why this may be shared: the others ask through `wishes`.
package final class Worker<Judge: Engine & ~Copyable>: @unchecked Sendable {
    /// What other threads can ask for.
    private struct Wishes {
        var stop = false
        var tasks: [@Sendable (inout Judge) -> Void] = []
    }

    /// The thread looks for wishes at least every so many batches, however many packets are waiting.
    private static var batchesBetweenWishes: Int { 16 }
    /// How long ordinary events may wait to be announced, in milliseconds: whoever handles them would compete for the
    /// processor with the rest of the handshake that they are about.
    private static var announcementDelay: Int32 { 10 }
    /// They are announced after so many waits for packets in any case.
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

    /// Has the thread do something with its engine between two batches of packets; soon, but not at once.
    package func perform(_ task: @escaping @Sendable (inout Judge) -> Void) {
        wishes.withLock { $0.tasks.append(task) }
        waker.wake()
    }

    /// The counters at the end; call this only after `stop()`.
    var finalCounters: Counters { loop.engine.counters }

    /// Works until it is to end.
    ///
    /// The rooms that name an engine are others, and across rooms nothing is specialised: without being told to, each
    /// packet would go through witness tables. Here that is asked once a thread.
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
            isBusy = batch.packets > 0 || batch.hasTrouble
            if journal.drain(&loop.engine, batch) { hasNews = true }
        }
    }

    /// Returns whether to end.
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
