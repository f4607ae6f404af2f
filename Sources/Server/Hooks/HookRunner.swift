// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Linux
package import Logging
package import Program
package import Settings
internal import Synchronization

/// What is to be run.
struct HookJob: Sendable {
    let command: HookCommand
    let environment: [String: String]

    /// Whose it is; empty where that is nobody's.
    var guest: String { environment["TCPKNOCK_GUEST"] ?? "" }
}

/// Runs hooks: some at once, each for a limited time, from one thread however many there are.
///
/// Guests take turns, and each has a share that others cannot take: where no more can wait, the guest with the most waiting
/// hooks loses its latest, and some of those that run at once are always left for other guests.
///
/// A hook is over when its command ends. What that leaves behind in the background goes on, without a standard error;
/// the time limit, on the other hand, ends the whole process group of a command.
package final class HookRunner: Sendable {
    private struct Line {
        var jobs = WaitingHooks()
        /// How many were dropped of each guest.
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

    /// Starts the thread; make it after the daemon's signals are blocked, and end it with `shutDown()`.
    ///
    /// - Parameters:
    ///   - limit: So many run at once, at least 1.
    ///   - waiting: So many can wait for that, at least 1; others are dropped.
    ///   - seconds: How long each may run, at least 1.
    ///   - logger: Where hooks that fail are reported, and how many were dropped.
    /// - Throws: `FatalError` if the system gives no descriptor to wake the thread by.
    package init(limit: Int = 8, waiting: Int = 256, seconds: UInt32 = 10, logger: Logger) throws(FatalError) {
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

    /// Has a command run soon; returns at once.
    ///
    /// - Parameters:
    ///   - command: What to run.
    ///   - environment: All of its environment beside PATH. `TCPKNOCK_EVENT` and `TCPKNOCK_GUEST` name it in the log.
    package func run(_ command: HookCommand, environment: [String: String]) {
        line.withLock { line in
            guard !line.isClosed else { return }
            line.jobs.append(HookJob(command: command, environment: environment))
            guard line.jobs.count > capacity, let guest = line.jobs.dropOne() else { return }
            line.dropped[guest, default: 0] &+= 1
        }
        waker.wake()
    }

    /// Forgets the hooks that wait, and ends those that run: after what is left of their time, but 2 s at most.
    ///
    /// Returns when all have ended, after 3 s at most. Nothing is run any more.
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
