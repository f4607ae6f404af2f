// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
package import KnockEngine
package import Logging
package import NetfilterQueue

/// Runs a daemon from its bound queue to the signal that ends it.
package struct DaemonRunner {
    /// Signals are looked for at least every so many batches, however many packets are waiting.
    private static let batchesBetweenSignals = 16

    private let signals: Signals
    private let logger: Logger

    /// Blocks the signals; so make this before any thread is started.
    package init(logger: Logger) throws(FatalError) {
        signals = try Signals()
        self.logger = logger
    }

    /// Says `ready`, gives verdicts until a signal ends it, and hands events to `handle` on another thread.
    package func run<Judge: Engine & ~Copyable>(
        _ loop: consuming PacketLoop<Queue, Judge>, _ details: Logger.Metadata,
        handle: @escaping @Sendable (Event) -> Void
    ) throws(FatalError) {
        let journal = EventJournal()
        let logger = self.logger
        DispatchQueue(label: "events").async {
            var log = EventLog(logger)
            var events = EventJournal.makeRoom()
            while true {
                let lost = journal.wait(&events)
                for event in events {
                    handle(event)
                    log.write(event, at: SystemClock.now())
                }
                if lost > 0 { log.writeLost(lost) }
            }
        }

        logger.notice("ready", metadata: details)
        StandardOutput.write("ready\n")
        ServiceManager.ready()
        do throws(SystemError) {
            try serve(&loop, journal)
        } catch {
            throw FatalError(error.description, status: EX_OSERR)
        }
        ServiceManager.stopping()
        report(loop.engine.counters)
        logger.notice("stopped")
    }

    private func serve<Judge: Engine & ~Copyable>(
        _ loop: inout PacketLoop<Queue, Judge>, _ journal: EventJournal
    ) throws(SystemError) {
        var descriptors = [
            pollfd(fd: loop.queue.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        var limiter = RateLimiter(perSecond: 1)
        var isBusy = false
        var batches = 0
        while true {
            if !isBusy || batches % Self.batchesBetweenSignals == 0 {
                unsafe poll(&descriptors, nfds_t(descriptors.count), isBusy ? 0 : -1)
                while let request = signals.next() {
                    switch request {
                    case .stop: return
                    case .hangUp: logger.notice("SIGHUP: there is nothing to read again")
                    case .report: report(loop.engine.counters)
                    }
                }
            }
            batches &+= 1
            let batch = try loop.turn()
            isBusy = batch.packets > 0
            journal.drain(&loop.engine)
            if batch.overflowed || batch.refusedVerdicts > 0 || batch.malformedMessages > 0 {
                isBusy = true
                complain(batch, &limiter)
            }
        }
    }

    private func complain(_ batch: ReceivedBatch, _ limiter: inout RateLimiter) {
        guard let held = limiter.pass(at: SystemClock.now().uptime) else { return }
        var metadata: Logger.Metadata = held > 0 ? ["held-back": "\(held)"] : [:]
        if batch.overflowed {
            logger.warning("packets were lost: they came faster than the queue is read", metadata: metadata)
        }
        if batch.refusedVerdicts > 0 {
            metadata["count"] = "\(batch.refusedVerdicts)"
            logger.warning("the kernel refused verdicts", metadata: metadata)
        }
        if batch.malformedMessages > 0 {
            metadata["count"] = "\(batch.malformedMessages)"
            logger.warning("unexpected messages from the kernel", metadata: metadata)
        }
    }

    private func report(_ counters: Counters) {
        var metadata: Logger.Metadata = [:]
        for reason in Reason.allCases where counters[reason] > 0 {
            metadata[reason.name] = "\(counters[reason])"
        }
        logger.notice("packets by reason", metadata: metadata)
    }
}
