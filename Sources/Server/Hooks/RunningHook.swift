// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Settings

/// A hook from its start to its end.
///
/// All times are milliseconds of a monotonic clock.
struct RunningHook {
    /// The way a hook ended.
    enum Outcome: Equatable {
        /// It exited by itself, or was ended by a signal from elsewhere.
        case ended(ChildProcess.End)
        /// It was ended because of the time limit.
        case timedOut
        /// Not even SIGKILL had ended it when the daemon had to go on.
        case abandoned
    }

    private enum Phase {
        case running
        /// SIGTERM has been sent.
        ///
        /// The status is not collected, even if the command has exited: its process group may have members left for
        /// SIGKILL to end, and the ID must not be reused until then.
        case terminating
        /// SIGKILL has been sent.
        case killed
    }

    /// The time between SIGTERM and SIGKILL.
    static let grace: UInt64 = 2000
    /// The same while the daemon shuts down; also the time it then waits after SIGKILL.
    static let shutDownGrace: UInt64 = 500
    /// The interval for checking what cannot or should not be polled.
    private static let lookInterval: UInt64 = 100

    /// The command, with its environment.
    let job: HookJob
    private let child: ChildProcess
    private var errors: FirstLine
    private var phase = Phase.running
    private var deadline: UInt64
    private var isHurried = false

    /// Starts the command.
    init(_ job: HookJob, seconds: UInt64, at now: UInt64) throws(SystemError) {
        self.job = job
        child = try ChildProcess(job.command.arguments, environment: job.environment)
        errors = FirstLine(child.standardError)
        deadline = now + seconds * 1000
    }

    /// The first line that it wrote to standard error.
    var firstLine: String { errors.text }

    /// The descriptors to poll; negative ones are ignored.
    var descriptors: [pollfd] {
        // The descriptor of an exited command stays readable, so it is polled only in phases that collect the status.
        let process = phase == .terminating ? -1 : child.processDescriptor
        let errors = errors.isAtEnd || errors.isEndless ? -1 : child.standardError
        return [process, errors].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    }

    /// Returns the time for calling `advance` even if no descriptor was ready.
    func nextLook(after now: UInt64) -> UInt64 {
        let mustLook = errors.isEndless && !errors.isAtEnd || child.processDescriptor < 0
        return mustLook ? min(deadline, now + Self.lookInterval) : deadline
    }

    /// Limits the remaining time to this many milliseconds.
    mutating func hurry(_ milliseconds: UInt64, at now: UInt64) {
        isHurried = true
        deadline = min(deadline, now + milliseconds)
    }

    /// Does whatever is due.
    ///
    /// - Returns: The outcome, after which there is nothing more to do; nil if the hook has not ended.
    mutating func advance(at now: UInt64) -> Outcome? {
        errors.read()
        let outcome = step(at: now)
        if outcome != nil {
            errors.read()
            child.closeDescriptors()
        }
        return outcome
    }

    private mutating func step(at now: UInt64) -> Outcome? {
        switch phase {
        case .running:
            if let end = child.end() { return .ended(end) }
            guard now >= deadline else { return nil }
            child.signalGroup(SIGTERM)
            phase = .terminating
            deadline = now + (isHurried ? Self.shutDownGrace : Self.grace)
        case .terminating:
            guard now >= deadline else { return nil }
            child.signalGroup(SIGKILL)
            phase = .killed
            deadline = isHurried ? now + Self.shutDownGrace : .max
        case .killed:
            if child.end() != nil { return .timedOut }
            if now >= deadline { return .abandoned }
        }
        return nil
    }
}
