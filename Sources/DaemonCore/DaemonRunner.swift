// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Linux
package import Logging
package import Netfilter
internal import Program
internal import Synchronization

/// Runs a daemon from its bound queues to the signal that ends it.
package struct DaemonRunner: Sendable {
    /// The time to wait for the last events on shutdown, in seconds.
    private static let patience = 5.0

    private let signals: Signals
    private let logger: Logger
    private let partyLabel: String
    private let journal = EventJournal()

    /// Blocks the signals.
    ///
    /// Call this before any thread is started.
    ///
    /// - Parameters:
    ///   - logger: The daemon's log.
    ///   - partyLabel: The log's word for the other side of a handshake: guest or target.
    /// - Throws: The reason why signals cannot be received.
    package init(logger: Logger, partyLabel: String) throws(FatalError) {
        signals = try fatally { () throws(SystemError) in try Signals() }
        self.logger = logger
        self.partyLabel = partyLabel
    }

    /// Creates a worker from a queue and an engine.
    ///
    /// `run` starts it.
    package func worker<Judge: Engine & ~Copyable>(
        _ loop: consuming PacketLoop<Queue, Judge>
    ) throws(FatalError) -> Worker<Judge> {
        try Worker(loop, journal: journal)
    }

    /// Reports `ready`, and gives verdicts until a signal ends it.
    ///
    /// - Parameters:
    ///   - group: The workers, one for each queue.
    ///   - daemon: Receives the events, and is asked to reload and to finish.
    ///   - details: The details to log with `ready`.
    /// - Throws: The error that made a queue unusable.
    package func run<Judge: Engine & ~Copyable>(
        _ group: WorkerGroup<Judge>, of daemon: some AdministeredDaemon, _ details: Logger.Metadata
    ) throws(FatalError) {
        let events = startEventThread(daemon)
        let failure = Failure(try fatally { () throws(SystemError) in try Waker() })
        for worker in group.workers { worker.start { failure.report($0) } }

        UnusedMemory.release()
        logger.notice("ready", metadata: details)
        StandardOutput.write("ready\n")
        ServiceManager.ready()
        waitForEnd(group, failure, daemon)
        ServiceManager.stopping()
        if failure.error == nil { daemon.finish() }
        for worker in group.workers { worker.stop() }
        // Recent events must still reach the log and the state file.
        journal.finish()
        _ = events.wait(timeout: .now() + Self.patience)
        Self.report(
            group.workers.reduce(into: Counters()) { $0.add($1.finalCounters) }, daemon.countedElsewhere(), logger)
        if let error = failure.error { throw error.fatal }
        logger.notice("stopped")
    }

    /// Starts the event thread.
    ///
    /// The returned semaphore is signalled when it has handled the last event.
    private func startEventThread(_ daemon: some AdministeredDaemon) -> DispatchSemaphore {
        let ended = DispatchSemaphore(value: 0)
        DispatchQueue(label: "events").async { [journal, logger, partyLabel] in
            var log = EventLog(logger, partyLabel: partyLabel)
            var entries = EventJournal.Entries()
            var goesOn = true
            var owesLines = false
            while goesOn {
                goesOn = journal.wait(&entries, until: owesLines ? .now() + 1 : .distantFuture)
                for event in entries.events {
                    daemon.take(event)
                    log.write(event, of: event.key.flatMap { daemon.registry.name(of: $0) }, at: SystemClock.now())
                }
                log.writeTrouble(entries, at: SystemClock.now())
                owesLines = log.writeLeftOut(at: SystemClock.now())
            }
            ended.signal()
        }
        return ended
    }

    private func waitForEnd<Judge: Engine & ~Copyable>(
        _ group: WorkerGroup<Judge>, _ failure: Failure, _ daemon: some AdministeredDaemon
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
                case .hangUp: _ = daemon.administration.sync { daemon.reload() }
                case .report:
                    let counters = group.sum(Counters()) { $0.add($1.counters) }
                    Self.report(counters, daemon.countedElsewhere(), logger)
                }
                UnusedMemory.release()
            }
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

/// The first error reported by a worker.
private final class Failure: Sendable {
    private let first = Mutex<SystemError?>(nil)
    private let waker: Waker

    init(_ waker: Waker) { self.waker = waker }

    /// The file descriptor that becomes readable when there is an error.
    var descriptor: Int32 { waker.descriptor }

    var error: SystemError? { first.withLock { $0 } }

    func report(_ error: SystemError) {
        first.withLock { $0 = $0 ?? error }
        waker.wake()
    }
}
