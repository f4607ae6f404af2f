// SPDX-License-Identifier: GPL-2.0-or-later
internal import DaemonCore
internal import Dispatch
internal import Glibc
internal import KernelFilter
package import KnockEngine
package import Linux
package import Logging
internal import Program
package import Settings
internal import SystemPackage

/// Supplies the kernel filter, if there is one, with the keys and the time.
///
/// All calls to the filter are made on one dispatch queue, so this class is safe to share between threads.
package final class KernelFilterKeeper: @unchecked Sendable {
    /// The interval at which the filter's clock is updated, in seconds.
    ///
    /// A clock change can go unnoticed for this long.
    private static let refreshInterval = 1

    private let choice: KernelFilterChoice
    private let parent: FilePath
    private let queueNumber: UInt16
    private let usesTime: Bool
    private let logger: Logger
    private let queue = DispatchQueue(label: "kernel filter")
    private var timer: (any DispatchSourceTimer)?
    /// The filter in use; nil if there is none or it is switched off.
    private var filter: KernelFilter?
    /// A filter that is switched off.
    ///
    /// It is kept because the process may later lack the right to load or find one.
    private var spare: KernelFilter?
    /// The last reported reason why there is no filter.
    private var obstacle: FatalError?

    /// Reads the settings that cannot change while the daemon runs.
    ///
    /// Does not load the filter yet.
    package init(_ settings: ServerSettings, logger: Logger) {
        choice = settings.kernelFilter
        parent = settings.pinFolder
        queueNumber = settings.queues.lowerBound
        usesTime = !settings.noTime
        self.logger = logger
    }

    /// Starts updating the filter's clock at regular intervals.
    package func start() {
        queue.sync {
            timer = queue.every(seconds: Self.refreshInterval) { [unowned self] in refresh() }
        }
    }

    /// Gives the filter the keys of these guests.
    ///
    /// The first call loads the filter, or takes over the one that is already loaded. Make it before privileges are
    /// dropped, but after the daemon's first queue is bound.
    ///
    /// - Throws: The reason why the filter cannot be used, if the choice is `on`. The filter is switched off in that
    ///   case.
    package func supply(_ guests: [Guest], _ settings: ServerSettings) throws(FatalError) {
        let refusal = queue.sync { () -> FatalError? in
            do throws(KernelFilterError) {
                guard choice != .off else {
                    try switchOff()
                    return nil
                }
                if let obstacle = Self.obstacle(guests, settings) {
                    try switchOff()
                    return FatalError(obstacle, status: .unavailable)
                }
                try update(guests, settings)
                return nil
            } catch {
                // The rules may refer to a filter left by an earlier run.
                try? switchOff()
                return choice == .off ? nil : error.fatal
            }
        }
        let isNews = queue.sync { obstacle != refusal }
        queue.sync { obstacle = refusal }
        guard let refusal else { return }
        guard choice == .auto else {
            throw refusal.exiting(with: .unavailable).at("--kernel-filter on")
        }
        guard isNews else { return }
        logger.log(.notice, "no kernel filter, the daemon judges all SYNs", refusal)
    }

    /// Returns the reason why the settings rule out a filter; nil if they do not.
    ///
    /// The filter drops wrong codes without the daemon seeing them.
    private static func obstacle(_ guests: [Guest], _ settings: ServerSettings) -> String? {
        if settings.onFailure == .reset { return "on_failure is reset, and it could only drop" }
        if settings.lockoutAfterWrongCodes > 0 { return "wrong codes are to be counted" }
        if guests.count > KernelFilter.maximumKeys {
            return KernelFilterError.tooManyKeys(guests.count).fatal.finding
        }
        return nil
    }

    private func update(_ guests: [Guest], _ settings: ServerSettings) throws(KernelFilterError) {
        let isNew = filter == nil
        let folder = try KernelFilter.pinFolder(in: parent, queue: queueNumber)
        let filter: KernelFilter
        if let loaded = self.filter ?? spare {
            filter = loaded
            self.filter = loaded
            spare = nil
        } else {
            filter = try KernelFilter.load(object: try KernelFilter.locateObject(), pinFolder: folder)
            self.filter = filter
        }
        try filter.update(
            keys: guests.map { FilterKey($0.keys, isRoaming: $0.isRoaming) }, usesTime: usesTime, clock: Self.clock(),
            acceptsData: settings.fastOpen)
        try filter.refreshOwnAddresses()
        // Before Linux 5.19, each change requires CAP_BPF, which this process will not have.
        try Privileges.whileReduced { () throws(KernelFilterError) in try filter.refreshClock(Self.clock()) }
        guard isNew else { return }
        let advice =
            filter.origin == .takenOver ? "rules that hold it use it on" : "'server.sh up' puts it into the rules"
        logger.notice("kernel filter ready: \(advice)", metadata: ["program": "\(folder.appending("syn_code"))"])
        if let obstacle = filter.hookObstacle {
            tell("the kernel filter cannot be attached to the network itself, so it has no gate either", obstacle)
        } else if let obstacle = filter.gateObstacle {
            tell(
                "the kernel filter has no gate: while another program has flushed the rules, a right code alone is enough",
                obstacle)
        }
    }

    private func tell(_ consequence: String, _ obstacle: KernelFilterError) {
        logger.log(.notice, consequence, obstacle)
        for line in obstacle.verifierLines { logger.debug("verifier: \(line)") }
    }

    private func switchOff() throws(KernelFilterError) {
        if let loaded = filter ?? spare {
            loaded.disarm()
            (filter, spare) = (nil, loaded)
            return
        }
        try KernelFilter.switchOff(pinFolder: try KernelFilter.pinFolder(in: parent, queue: queueNumber))
    }

    private func refresh() {
        guard let filter else { return }
        do throws(KernelFilterError) {
            try filter.refreshClock(Self.clock())
            try filter.refreshOwnAddresses()
        } catch {
            logger.error("kernel filter switched off: \(error)")
            filter.disarm()
            (self.filter, spare) = (nil, filter)
        }
    }

    /// Removes the keys from the kernel.
    package func stop() {
        queue.sync {
            timer?.cancel()
            filter?.disarm()
            (filter, spare) = (nil, nil)
        }
    }

    /// The number of SYNs that the filter has dropped and let pass; nil if there is no filter.
    package var counters: (wrong: UInt64, passed: UInt64)? {
        queue.sync { (try? filter?.counters()).flatMap { $0 }.map { ($0.wrong, $0.passed) } }
    }

    private static func clock() -> FilterClock {
        FilterClock(
            wallClock: SystemClock.nanoseconds(CLOCK_REALTIME), monotonic: SystemClock.nanoseconds(CLOCK_MONOTONIC))
    }
}
