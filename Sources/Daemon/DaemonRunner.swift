// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Logging
package import NetfilterQueue
internal import Synchronization

/// Runs a daemon from its bound queues to the signal that ends it.
package struct DaemonRunner {
    private let signals: Signals
    private let logger: Logger
    private let journal = EventJournal()

    /// Blocks the signals; so make this before any thread is started.
    package init(logger: Logger) throws(FatalError) {
        signals = try Signals()
        self.logger = logger
    }

    /// Joins a queue and an engine to a worker, which `run` starts.
    package func worker<Judge: Engine & ~Copyable>(
        _ loop: consuming PacketLoop<Queue, Judge>
    ) throws(FatalError) -> Worker<Judge> {
        try Worker(loop, journal: journal)
    }

    /// Says `ready`, and gives verdicts until a signal ends it.
    ///
    /// - Parameters:
    ///   - workers: One for each queue.
    ///   - details: What the log says beside `ready`.
    ///   - more: What reports of the counters are to say beside them.
    ///   - handle: Is called for each event, on a thread of its own.
    /// - Throws: What made a queue unusable.
    package func run<Judge: Engine & ~Copyable>(
        _ workers: [Worker<Judge>], _ details: Logger.Metadata,
        more: @escaping @Sendable () -> Logger.Metadata = { [:] }, handle: @escaping @Sendable (Event) -> Void
    ) throws(FatalError) {
        startEventThread(handle)
        let failure = Failure(try Waker())
        for worker in workers { worker.start { failure.report($0) } }

        logger.notice("ready", metadata: details)
        StandardOutput.write("ready\n")
        ServiceManager.ready()
        ProgramText.releasePages()
        waitForEnd(workers, failure, more)
        ServiceManager.stopping()
        for worker in workers { worker.stop() }
        Self.report(workers.reduce(into: Counters()) { $0.add($1.finalCounters) }, more(), logger)
        if let error = failure.error { throw FatalError(error.description, status: EX_OSERR) }
        logger.notice("stopped")
    }

    private func startEventThread(_ handle: @escaping @Sendable (Event) -> Void) {
        DispatchQueue(label: "events").async { [journal, logger] in
            var log = EventLog(logger, partyLabel: "guest")
            var entries = EventJournal.Entries()
            while true {
                journal.wait(&entries)
                for event in entries.events {
                    handle(event)
                    log.write(event, of: nil, at: SystemClock.now())
                }
                log.writeTrouble(entries, at: SystemClock.now())
            }
        }
    }

    private func waitForEnd<Judge: Engine & ~Copyable>(
        _ workers: [Worker<Judge>], _ failure: Failure, _ more: @escaping @Sendable () -> Logger.Metadata
    ) {
        var descriptors = [
            pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: failure.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while failure.error == nil {
            unsafe poll(&descriptors, nfds_t(descriptors.count), -1)
            while let request = signals.next() {
                switch request {
                case .stop: return
                case .hangUp: logger.notice("SIGHUP: there is nothing to read again")
                case .report: reportCounters(of: workers, more)
                }
            }
        }
    }

    /// Writes the sum of all workers' counters once the last of them has named its own.
    private func reportCounters<Judge: Engine & ~Copyable>(
        of workers: [Worker<Judge>], _ more: @escaping @Sendable () -> Logger.Metadata
    ) {
        let collection = Collection(expected: workers.count) { [logger] in Self.report($0, more(), logger) }
        for worker in workers {
            worker.withCounters { collection.add($0) }
        }
    }

    private static func report(_ counters: Counters, _ more: Logger.Metadata, _ logger: Logger) {
        var metadata = more
        for reason in Reason.allCases where counters[reason] > 0 {
            metadata[reason.name] = "\(counters[reason])"
        }
        logger.notice("packets by reason", metadata: metadata)
    }
}

/// The first error of a worker.
private final class Failure: Sendable {
    private let first = Mutex<SystemError?>(nil)
    private let waker: Waker

    init(_ waker: Waker) { self.waker = waker }

    /// The file descriptor to wait on until there is an error.
    var descriptor: Int32 { waker.descriptor }

    var error: SystemError? { first.withLock { $0 } }

    func report(_ error: SystemError) {
        first.withLock { $0 = $0 ?? error }
        waker.wake()
    }
}

/// Adds up the counters of several workers.
private final class Collection: Sendable {
    private struct State {
        var sum = Counters()
        var missing: Int
    }

    private let state: Mutex<State>
    private let complete: @Sendable (Counters) -> Void

    init(expected: Int, complete: @escaping @Sendable (Counters) -> Void) {
        state = Mutex(State(missing: expected))
        self.complete = complete
    }

    func add(_ counters: Counters) {
        let sum = state.withLock { state -> Counters? in
            state.sum.add(counters)
            state.missing -= 1
            return state.missing == 0 ? state.sum : nil
        }
        if let sum { complete(sum) }
    }
}
