// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KnockEngine
internal import Linux
internal import Logging
internal import Program
internal import Settings

/// The state of the hook thread: the running hooks, and what is still to be logged.
struct HookSupervisor {
    private let limit: Int
    private let seconds: UInt64
    private let logger: Logger
    private var running: [RunningHook] = []
    private var isClosing = false
    /// The number of dropped hooks of each guest, not yet logged.
    private var dropped: [String: UInt64] = [:]
    private var droppedLimiter = RateLimiter(perSecond: 1)
    private var failureLimiter = RateLimiter(perSecond: 20)

    init(limit: Int, seconds: UInt64, logger: Logger) {
        self.limit = limit
        self.seconds = seconds
        self.logger = logger
    }

    /// The number of hooks of one guest that can run at once.
    ///
    /// A quarter of the limit, and at least one hook, is left for other guests unless the limit is 1.
    private var limitOfOne: Int { max(1, limit - max(1, limit / 4)) }

    /// Removes from the waiting hooks those that can be started now.
    func takeWhatCanStart(_ waiting: inout WaitingHooks) -> [HookJob] {
        var jobs: [HookJob] = []
        var count: [String: Int] = [:]
        for hook in running { count[hook.job.guest, default: 0] += 1 }
        while running.count + jobs.count < limit {
            guard let job = waiting.next(where: { count[$0, default: 0] < limitOfOne }) else { break }
            count[job.guest, default: 0] += 1
            jobs.append(job)
        }
        return jobs
    }

    /// Whether no hook is running and none will be started.
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

    /// Adds up the dropped hooks and logs them at most once a second: the total, and the guest with the most.
    mutating func reportDropped(_ counts: [String: UInt64]) {
        dropped.merge(counts) { $0 &+ $1 }
        guard let most = dropped.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
            isDone || droppedLimiter.pass(at: Self.now) != nil
        else { return }
        var metadata: Logger.Metadata = ["count": "\(dropped.values.reduce(0, &+))"]
        if !most.key.isEmpty { metadata["most-of-guest"] = "\(most.key)" }
        logger.warning(
            "hooks not run: \(isClosing ? "the daemon ends" : "too many are waiting")", metadata: metadata)
        dropped = [:]
    }

    /// Waits until something may have happened, then checks all running hooks.
    mutating func wait(with waker: Waker) {
        guard !isDone else { return }
        let now = Self.now
        var next = !dropped.isEmpty ? now + 1000 : UInt64.max
        var descriptors = [pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)]
        for hook in running {
            next = min(next, hook.nextLook(after: now))
            descriptors += hook.descriptors
        }
        // At most a minute, so that the value fits whatever the limit is.
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
        // Without the arguments, which may contain a password.
        var metadata: Logger.Metadata = ["program": "\(job.command.arguments.first ?? "")"]
        metadata["hook"] = job.environment["TCPKNOCK_EVENT"].map { "\($0)" }
        metadata["guest"] = job.environment["TCPKNOCK_GUEST"].map { "\($0)" }
        if !firstLine.isEmpty { metadata["stderr"] = "\(firstLine)" }
        if held > 0 { metadata["held-back"] = "\(held)" }
        logger.warning("\(message)", metadata: metadata)
    }

    private static var now: UInt64 { SystemClock.uptime }
}
