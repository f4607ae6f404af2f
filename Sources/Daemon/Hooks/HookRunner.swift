// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
internal import KnockEngine
package import Logging
internal import NetfilterQueue
package import Settings
internal import Synchronization

/// What is to be run.
struct HookJob: Sendable {
    let command: HookCommand
    let environment: [String: String]
}

/// Runs hooks: some at once, each for a limited time, from one thread however many there are.
///
/// A hook is over when its command ends. What that leaves behind in the background goes on, without a standard error;
/// the time limit, on the other hand, ends the whole process group of a command.
package final class HookRunner: Sendable {
    private struct Line {
        var jobs: [HookJob] = []
        var dropped: UInt64 = 0
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
        waker = try Waker()
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
            if line.jobs.count < capacity {
                line.jobs.append(HookJob(command: command, environment: environment))
            } else {
                line.dropped &+= 1
            }
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
                let count = line.isClosed ? 0 : min(supervisor.room, line.jobs.count)
                let jobs = Array(line.jobs.prefix(count))
                line.jobs.removeFirst(count)
                defer { line.dropped = 0 }
                if line.isClosed {
                    line.dropped &+= UInt64(line.jobs.count)
                    line.jobs = []
                }
                return (jobs: jobs, dropped: line.dropped, isClosed: line.isClosed)
            }
            supervisor.start(news.jobs)
            if news.isClosed { supervisor.close() }
            supervisor.reportDropped(news.dropped)
            supervisor.wait(with: waker)
        } while !supervisor.isDone
        supervisor.reportDropped(0)
    }
}

/// The thread's side: what runs, and what the log is told.
private struct HookSupervisor {
    private let limit: Int
    private let seconds: UInt64
    private let logger: Logger
    private var running: [RunningHook] = []
    private var isClosing = false
    private var dropped: UInt64 = 0
    private var droppedLimiter = RateLimiter(perSecond: 1)
    private var failureLimiter = RateLimiter(perSecond: 20)

    init(limit: Int, seconds: UInt64, logger: Logger) {
        self.limit = limit
        self.seconds = seconds
        self.logger = logger
    }

    /// So many can be started now.
    var room: Int { limit - running.count }

    /// Whether nothing runs and nothing will.
    var isDone: Bool { isClosing && running.isEmpty }

    mutating func start(_ jobs: [HookJob]) {
        for job in jobs {
            do throws(SystemError) {
                running.append(try RunningHook(job, seconds: seconds, at: Self.now))
            } catch {
                report(job, "hook could not be started: \(error)", firstLine: "")
            }
        }
    }

    mutating func close() {
        guard !isClosing else { return }
        isClosing = true
        for index in running.indices { running[index].hurry(RunningHook.grace, at: Self.now) }
    }

    /// Adds up what was dropped, and says it at most once a second.
    mutating func reportDropped(_ count: UInt64) {
        dropped &+= count
        guard dropped > 0, isDone || droppedLimiter.pass(at: Self.now) != nil else { return }
        logger.warning(
            "hooks not run: \(isClosing ? "the daemon ends" : "too many are waiting")",
            metadata: ["count": "\(dropped)"])
        dropped = 0
    }

    /// Waits until something may have happened, and looks at everything.
    mutating func wait(with waker: Waker) {
        guard !isDone else { return }
        let now = Self.now
        var next = dropped > 0 ? now + 1000 : UInt64.max
        var descriptors = [pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)]
        for hook in running {
            next = min(next, hook.nextLook(after: now))
            descriptors += hook.descriptors
        }
        // At most a minute, so that the number fits whatever the limit is.
        let patience = next == .max ? -1 : Int32(min(next > now ? next - now : 0, 60_000))
        unsafe poll(&descriptors, nfds_t(descriptors.count), patience)
        look()
    }

    private mutating func look() {
        let now = Self.now
        var index = 0
        while index < running.count {
            guard let outcome = running[index].advance(at: now) else {
                index += 1
                continue
            }
            let hook = running.remove(at: index)
            if let failure = failure(outcome) { report(hook.job, failure, firstLine: hook.firstLine) }
        }
    }

    private func failure(_ outcome: RunningHook.Outcome) -> String? {
        switch outcome {
        case .ended(.exited(0)), .ended(.unknown): nil
        case .ended(.exited(let status)): "hook ended with status \(status)"
        case .ended(.signalled(let signal)): "hook was ended by signal \(signal)"
        case .timedOut where isClosing: "hook was ended since the daemon ends"
        case .timedOut: "hook was ended since it took longer than \(seconds) s"
        case .abandoned: "hook could not be ended"
        }
    }

    private mutating func report(_ job: HookJob, _ message: String, firstLine: String) {
        guard let held = failureLimiter.pass(at: Self.now) else { return }
        // Not the arguments: somebody may have put a password there.
        var metadata: Logger.Metadata = ["program": "\(job.command.arguments.first ?? "")"]
        metadata["hook"] = job.environment["TCPKNOCK_EVENT"].map { "\($0)" }
        metadata["guest"] = job.environment["TCPKNOCK_GUEST"].map { "\($0)" }
        if !firstLine.isEmpty { metadata["stderr"] = "\(firstLine)" }
        if held > 0 { metadata["held-back"] = "\(held)" }
        logger.warning("\(message)", metadata: metadata)
    }

    private static var now: UInt64 { SystemClock.now().uptime }
}
