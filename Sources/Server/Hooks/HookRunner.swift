// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
package import Linux
package import Logging
package import Settings
internal import Synchronization

/// Runs hooks: several at once, each for a limited time, all from one thread.
///
/// Guests take turns, and each has a share that other guests cannot use up. If the queue is full, the guest with the
/// most waiting hooks loses its latest one, and some of the slots for running hooks are always left for other guests.
///
/// A hook is over when its command exits. Background processes that the command leaves behind keep running, without a
/// standard error. The time limit, however, ends the whole process group of the command.
package final class HookRunner: Sendable {
    private struct Line {
        var jobs = WaitingHooks()
        /// The number of dropped hooks of each guest.
        var dropped: [String: UInt64] = [:]
        var isClosed = false
    }

    private let limit: Int
    private let capacity: Int
    private let seconds: UInt64
    private let logger: Logger
    private let line = Mutex(Line())
    private let waker: Waker
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the thread.
    ///
    /// Call this after the daemon's signals are blocked, and end the thread with `shutDown()`.
    ///
    /// - Parameters:
    ///   - limit: The number of hooks that run at once, at least 1.
    ///   - waiting: The number of hooks that can wait, at least 1. Further ones are dropped.
    ///   - seconds: The time limit of each hook, at least 1.
    ///   - logger: The log for failed and dropped hooks.
    /// - Throws: `FatalError` if the system has no descriptor left for waking the thread.
    package init(limit: Int, waiting: Int = 256, seconds: UInt32, logger: Logger) throws(FatalError) {
        self.limit = max(1, limit)
        capacity = max(1, waiting)
        self.seconds = UInt64(max(1, seconds))
        self.logger = logger
        waker = try fatally { () throws(SystemError) in try Waker() }
        DispatchQueue(label: "hooks").async { [self] in
            var supervisor = HookSupervisor(limit: self.limit, seconds: self.seconds, logger: logger)
            serve(&supervisor)
            ended.signal()
        }
    }

    /// Queues a command to be run soon, and returns at once.
    ///
    /// - Parameters:
    ///   - command: The command to run.
    ///   - environment: Its complete environment, except PATH. `TCPKNOCK_EVENT` and `TCPKNOCK_GUEST` identify the hook
    ///     in the log.
    package func run(_ command: HookCommand, environment: [String: String]) {
        line.withLock { line in
            guard !line.isClosed else { return }
            line.jobs.append(HookJob(command: command, environment: environment))
            guard line.jobs.count > capacity, let guest = line.jobs.dropOne() else { return }
            line.dropped[guest, default: 0] &+= 1
        }
        waker.wake()
    }

    /// Discards the waiting hooks and ends the running ones after the rest of their time, but after 2 s at most.
    ///
    /// Returns when all have ended, after 3 s at most. No hook is run after that.
    package func shutDown() {
        line.withLock { $0.isClosed = true }
        waker.wake()
        ended.wait()
        ended.signal()
    }

    private func serve(_ supervisor: inout HookSupervisor) {
        repeat {
            waker.clear()
            let news = line.withLock { line in
                let jobs = line.isClosed ? [] : supervisor.takeWhatCanStart(&line.jobs)
                if line.isClosed { line.dropped.merge(line.jobs.dropAll()) { $0 &+ $1 } }
                defer { line.dropped = [:] }
                return (jobs: jobs, dropped: line.dropped, isClosed: line.isClosed)
            }
            supervisor.start(news.jobs)
            if news.isClosed { supervisor.close() }
            supervisor.reportDropped(news.dropped)
            supervisor.wait(with: waker)
        } while !supervisor.isDone
        supervisor.reportDropped([:])
    }
}
