// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Settings

/// A hook from its start to its end, whichever way that comes.
///
/// All its times are milliseconds of a clock that never goes back.
struct RunningHook {
    /// How it ended.
    enum Outcome: Equatable {
        /// By itself or by a signal from elsewhere.
        case ended(ChildProcess.End)
        /// By the time limit.
        case timedOut
        /// Not at all, even by SIGKILL, before the daemon had to go on.
        case abandoned
    }

    private enum Phase {
        case running
        /// SIGTERM has been sent. The status is not fetched, even of a command that has ended: its process group may
        /// have members left that SIGKILL is to find, and the id must stay theirs until then.
        case terminating
        /// SIGKILL has been sent.
        case killed
    }

    /// How long after SIGTERM SIGKILL is sent.
    static let grace: UInt64 = 2000
    /// The same while the daemon waits to end; also how long it waits for what SIGKILL does not end.
    static let shutDownGrace: UInt64 = 500
    /// How often to look at what cannot or should not be waited on.
    private static let lookInterval: UInt64 = 100

    /// What it runs and what for.
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

    /// What to wait on, negative where that is nothing.
    var descriptors: [pollfd] {
        // A command that has ended stays readable, so this is only for phases that look whether it has.
        let process = phase == .terminating ? -1 : child.processDescriptor
        let errors = errors.isAtEnd || errors.isEndless ? -1 : child.standardError
        return [process, errors].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    }

    /// When to call `advance` even if there was nothing on the descriptors.
    func nextLook(after now: UInt64) -> UInt64 {
        let mustLook = errors.isEndless && !errors.isAtEnd || child.processDescriptor < 0
        return mustLook ? min(deadline, now + Self.lookInterval) : deadline
    }

    /// Leaves it so many milliseconds at most.
    mutating func hurry(_ milliseconds: UInt64, at now: UInt64) {
        isHurried = true
        deadline = min(deadline, now + milliseconds)
    }

    /// Does what is due.
    ///
    /// - Returns: How it ended, after which there is nothing more to do; nil if it has not.
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
