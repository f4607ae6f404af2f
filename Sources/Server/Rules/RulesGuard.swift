// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Dispatch
internal import Glibc
internal import KnockEngine
internal import Linux
package import Logging
internal import Netfilter
package import Settings
internal import Synchronization
internal import SystemPackage

/// Monitors the firewall rules of the protected ports, logs their loss, and has lost rules restored.
///
/// A child process, `server.sh guard --report`, does the checking and restoring, because the daemon has no right to
/// after it has dropped its privileges. It checks when the kernel reports a change of rules or when a check is
/// requested; if the kernel does not report changes, it checks every second. It exits with the daemon, because its
/// standard input is then closed.
package final class RulesGuard: Sendable {
    private struct Knowledge {
        var meant: IntendedRules
        var report: FirewallStatus?
        /// The reason why there is no report.
        var reason: String
        var losses: UInt64 = 0
        /// The protection that was last logged.
        var told: Protection?
        var toldFailure = ""
        /// Whether the ports have changed since then.
        var isReloaded = false
        /// The number of the last check that was requested, sent to the child, and answered.
        var wanted: UInt64 = 1
        var asked: UInt64 = 0
        var answered: UInt64 = 0
        var waiting: [(number: UInt64, answer: DispatchSemaphore)] = []
        /// Whether a requester has timed out, so that `report` may be out of date.
        var isLate = false
        var isClosing = false
        var hasEnded = false
    }

    /// The tables that contain our rules.
    private static let tables = ["raw", "mangle"]
    /// The other tables of iptables, which no packet meets before it meets our rules.
    private static let otherTables = ["nat", "filter", "security"]
    /// The longest line of the child, in bytes: that of a server with many ports.
    private static let longestLine = 1 << 20
    /// The longest time to wait for a requested check, in seconds.
    private static let patience = 10.0
    /// The time the child has to exit, in milliseconds.
    ///
    /// It may be restoring rules.
    private static let patienceAtEnd: Int64 = 3_000
    /// The time without an answer after which the state counts as unknown, in milliseconds.
    private static let longestLook: UInt64 = 60_000
    /// The intervals between checks that nothing triggers, in milliseconds: if the kernel reports changes, if it does
    /// not, and if rules could not be restored.
    private static let interval = (told: 30_000 as UInt64, untold: 1_000 as UInt64, lost: 5_000 as UInt64)
    /// The interval at which the kernel is asked whether iptables-legacy rules have changed, in milliseconds.
    private static let legacyInterval: Int32 = 200
    /// The shortest time between two checks if the kernel reports changes, in milliseconds.
    private static let pause: UInt64 = 1_000

    private let choice: RulesGuardChoice
    private let script: FilePath
    private let logger: Logger
    private let child: ChildProcess?
    private let changes: RuleChanges?
    private let waker: Waker?
    private let knowledge: Mutex<Knowledge>
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the child process, unless the guard is switched off.
    ///
    /// Call this before privileges are dropped. No thread is started yet. The child runs as root, with the capabilities
    /// that `Privileges.limitPrograms` leaves to programs.
    ///
    /// - Parameters:
    ///   - settings: The daemon's settings.
    ///   - logger: The log for changes of the rules.
    package init(_ settings: ServerSettings, logger: Logger) {
        choice = settings.rulesGuard
        self.logger = logger
        let found = FirewallScript.folder()?.appending("server.sh")
        script = found ?? FirewallScript.installedFolder.appending("server.sh")
        var knowledge = Knowledge(
            meant: IntendedRules(settings), reason: "nobody has looked yet")
        (child, waker, changes) = Self.start(settings, found, &knowledge)
        self.knowledge = Mutex(knowledge)
    }

    private static func start(
        _ settings: ServerSettings, _ script: FilePath?, _ knowledge: inout Knowledge
    ) -> (ChildProcess?, Waker?, RuleChanges?) {
        guard settings.rulesGuard != .off else {
            knowledge.reason = "rules_guard is \"off\", so nobody looks"
            return (nil, nil, nil)
        }
        guard let script else {
            knowledge.reason = "server.sh is not where it is installed, \(FirewallScript.installedFolder)"
            return (nil, nil, nil)
        }
        guard geteuid() == 0 else {
            knowledge.reason = "only root may look at firewall rules, and the daemon was not started as root"
            return (nil, nil, nil)
        }
        var arguments = [
            script.string, "guard", "--report", "--queue-num", QueueNumbers.text(settings.queues),
            "--pin-folder", settings.pinFolder.string,
        ]
        if settings.rulesGuard == .tell { arguments.append("--tell") }
        do throws(FatalError) {
            let waker = try fatally { () throws(SystemError) in try Waker() }
            // Without it, the rules are checked every second.
            let changes = try? RuleChanges(ignoring: otherTables)
            do throws(SystemError) {
                let child = try ChildProcess(
                    arguments, environment: FirewallScript.environment, streams: .conversation)
                return (child, waker, changes)
            } catch {
                knowledge.reason = "\(script) cannot be run: \(error)"
            }
        } catch {
            knowledge.reason = error.description
        }
        return (nil, nil, nil)
    }

    // MARK: The state of the rules

    /// Whether the configured ports have their rules, as far as is known.
    var protection: Protection { knowledge.withLock { protection($0) } }

    /// The number of times rules disappeared without having been taken down; nil if the rules are not monitored.
    var losses: UInt64? { child == nil ? nil : knowledge.withLock { $0.losses } }

    private func protection(_ knowledge: Knowledge) -> Protection {
        guard let report = knowledge.report, !knowledge.isLate else {
            let reason = knowledge.isLate ? "the guard of the rules has not answered in time" : knowledge.reason
            return Protection(ports: knowledge.meant.ports, knowledge: .unknown(reason))
        }
        var cure = "\(script) up"
        if !report.instance.isEmpty, !knowledge.meant.flags.contains("--instance") {
            cure += " --instance \(report.instance)"
        }
        cure += " \(knowledge.meant.flags.joined(separator: " "))"
        return Protection(
            ports: knowledge.meant.ports, knowledge: .looked(knowledge.meant.faults(report), cure: cure),
            gate: report.closedPorts)
    }

    /// Adopts new settings.
    func adopt(_ settings: ServerSettings) {
        knowledge.withLock { knowledge in
            let meant = IntendedRules(settings)
            knowledge.isReloaded = knowledge.isReloaded || knowledge.meant != meant
            knowledge.meant = meant
        }
    }

    /// Requests a check of the rules and waits until it is done or `patience` has passed.
    func look() {
        guard let waker else { return }
        let answer = DispatchSemaphore(value: 0)
        let isWaiting = knowledge.withLock { knowledge in
            guard !knowledge.hasEnded else { return false }
            // A request that has not been sent yet will be answered with a recent enough state.
            if knowledge.wanted == knowledge.asked { knowledge.wanted += 1 }
            knowledge.waiting.append((knowledge.wanted, answer))
            return true
        }
        guard isWaiting else { return }
        waker.wake()
        if answer.wait(timeout: .now() + Self.patience) == .timedOut { knowledge.withLock { $0.isLate = true } }
    }

    // MARK: The child

    /// Starts monitoring, on a thread of its own.
    func start() {
        guard let child, let waker else {
            let reason = knowledge.withLock { $0.reason }
            if choice != .off { logger.warning("the firewall rules are not guarded: \(reason)") }
            return
        }
        DispatchQueue(label: "rules").async { [self] in
            serve(child, waker)
            ended.signal()
        }
    }

    /// Ends the child, and waits until it has exited or takes too long.
    func stop() {
        guard child != nil, let waker else { return }
        knowledge.withLock { $0.isClosing = true }
        waker.wake()
        ended.wait()
    }

    private func serve(_ child: ChildProcess, _ waker: Waker) {
        var lines = LineReader(child.standardError, capacity: Self.longestLine)
        var schedule = Schedule()
        var legacy: LegacyRules?
        while true {
            var descriptors = [waker.descriptor, child.standardError, schedule.isDeaf ? -1 : changes?.descriptor ?? -1]
                .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let wait = schedule.wait(at: Self.now)
            unsafe poll(
                &descriptors, nfds_t(descriptors.count), legacy == nil ? wait : min(wait, Self.legacyInterval))
            waker.clear()
            if knowledge.withLock({ $0.isClosing }) { break }
            if descriptors[2].revents != 0 { hear(&schedule) }
            if legacy?.haveChanged() == true { schedule.hasChange(at: Self.now, pause: Self.pause) }
            for line in lines.read() { take(line, &schedule) }
            if lines.isAtEnd {
                // Its last line of output gives the reason.
                giveUp("the guard of the rules has ended: \(schedule.lastWords)")
                break
            }
            ask(child, &schedule)
            watchLegacy(&legacy, &schedule)
        }
        knowledge.withLock { knowledge in
            knowledge.hasEnded = true
            for waiting in knowledge.waiting { waiting.answer.signal() }
            knowledge.waiting = []
        }
        close(child.standardInput)
        _ = child.end(within: Self.patienceAtEnd)
        close(child.standardError)
    }

    /// The schedule of the checks.
    private struct Schedule {
        /// The times of the last and the next check, in milliseconds.
        var last: UInt64 = 0
        var next: UInt64 = 0
        /// Whether an answer is pending.
        var isAsking = false
        /// Whether the kernel no longer reports changes.
        var isDeaf = false
        /// The last line from the child that was not an answer.
        var lastWords = "it said nothing"

        /// Whether the kernel is asked about the rules of iptables-legacy.
        var watchesLegacy = false

        /// Records a change.
        ///
        /// `now` and `pause`, the shortest time between two checks, are in milliseconds.
        mutating func hasChange(at now: UInt64, pause: UInt64) {
            // If a check is under way, it may have been too early: schedule one more.
            next = isAsking ? last + pause : min(next, max(now, last + pause))
        }

        /// Returns the longest time to wait, in milliseconds.
        func wait(at now: UInt64) -> Int32 {
            isAsking ? 1_000 : Int32(next > now ? min(next - now, 60_000) : 0)
        }
    }

    private func hear(_ schedule: inout Schedule) {
        do throws(SystemError) {
            guard try changes?.receive() == true else { return }
            schedule.hasChange(at: Self.now, pause: Self.pause)
        } catch {
            logger.warning(
                "changes of firewall rules are not heard of any more, so they are looked at every second: \(error)")
            schedule.isDeaf = true
        }
    }

    /// Watches the tables of iptables-legacy while they contain our rules.
    ///
    /// Looking at other tables would create them.
    private func watchLegacy(_ legacy: inout LegacyRules?, _ schedule: inout Schedule) {
        let isLegacy = knowledge.withLock { $0.report?.isLegacy == true && $0.report?.state != .down }
        if isLegacy, legacy == nil {
            legacy = try? LegacyRules(tables: Self.tables)
            _ = legacy?.haveChanged()
        } else if !isLegacy {
            legacy = nil
        }
        schedule.watchesLegacy = legacy != nil
    }

    private func ask(_ child: ChildProcess, _ schedule: inout Schedule) {
        let now = Self.now
        if schedule.isAsking {
            if now > schedule.last + Self.longestLook { forget("the guard of the rules does not answer") }
            return
        }
        let number = knowledge.withLock { knowledge -> UInt64? in
            if knowledge.wanted == knowledge.asked {
                guard now >= schedule.next else { return nil }
                knowledge.wanted += 1
            }
            knowledge.asked = knowledge.wanted
            return knowledge.asked
        }
        guard let number else { return }
        (schedule.last, schedule.isAsking) = (now, true)
        schedule.next = now + interval(schedule)
        let line = Array("look \(number)\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe write(child.standardInput, $0.baseAddress, $0.count) }
    }

    private func interval(_ schedule: Schedule) -> UInt64 {
        let report = knowledge.withLock { $0.report }
        let isTold = report?.isLegacy == true ? schedule.watchesLegacy : changes != nil && !schedule.isDeaf
        if !isTold { return Self.interval.untold }
        return report?.isLoss == true ? Self.interval.lost : Self.interval.told
    }

    private func take(_ line: String, _ schedule: inout Schedule) {
        switch GuardLine(line) {
        case .rules(let number, let report):
            note(report, number)
            schedule.isAsking = false
            schedule.next = min(schedule.next, schedule.last + interval(schedule))
        case .unknown(let number, let reason):
            forget(reason)
            answer(number)
            schedule.isAsking = false
        case .says(let isError, let text):
            let isNews = knowledge.withLock { knowledge in
                defer { knowledge.toldFailure = isError ? text : "" }
                return !isError || knowledge.toldFailure != text
            }
            if isNews { logger.log(level: isError ? .error : .notice, "\(text)") }
        case nil:
            schedule.lastWords = line
            logger.debug("guard of the rules: \(line)")
        }
    }

    private func answer(_ number: UInt64) {
        knowledge.withLock { knowledge in
            knowledge.answered = max(knowledge.answered, number)
            for waiting in knowledge.waiting where waiting.number <= knowledge.answered { waiting.answer.signal() }
            knowledge.waiting.removeAll { $0.number <= knowledge.answered }
        }
    }

    private func note(_ report: FirewallStatus, _ number: UInt64) {
        let (before, told, now, isReloaded) = knowledge.withLock { knowledge in
            let before = knowledge.report
            let told = knowledge.told
            knowledge.report = report
            knowledge.isLate = false
            if report.isLoss, before?.isLoss != true { knowledge.losses += 1 }
            let now = protection(knowledge)
            knowledge.told = now
            defer { knowledge.isReloaded = false }
            return (before, told, now, knowledge.isReloaded)
        }
        // Answered only after logging, so that whoever waits for the answer finds it in the log, too.
        defer { answer(number) }
        if report.isLoss, before?.isLoss != true {
            let consequence = choice == .restore ? "; they are being put back" : ""
            logger.error("firewall rules are missing that nobody took down: \(now.line)\(consequence)")
        } else if now != told {
            // Whoever starts the daemon before the rules are in place, or takes them down, knows about it.
            let level: Logger.Level = now.isProtected == true ? .notice : isReloaded ? .error : .warning
            logger.log(level: level, "\(now.line)")
        }
    }

    private func forget(_ reason: String) {
        let isNews = knowledge.withLock { knowledge in
            defer { (knowledge.report, knowledge.reason) = (nil, reason) }
            let isNews = knowledge.report != nil || knowledge.reason != reason
            if isNews { knowledge.told = nil }
            return isNews
        }
        if isNews { logger.error("it is not known whether the ports are protected: \(reason)") }
    }

    private func giveUp(_ reason: String) { forget("\(reason); it begins again when the daemon does") }

    private static var now: UInt64 { SystemClock.uptime }
}
