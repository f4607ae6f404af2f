// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
internal import KernelFilter
package import KnockProtocol
package import Logging
package import Settings
package import SystemPackage

/// Keeps the program in the kernel supplied with the key and the time.
///
/// All calls to the filter are made on one dispatch queue, which is why this may be shared.
package final class KernelFilterKeeper: @unchecked Sendable {
    /// How often the program is told the time, in seconds: as long as a changed clock can go unnoticed.
    private static let refreshInterval = 1

    private let filter: KernelFilter
    private let queue = DispatchQueue(label: "kernel filter")
    private let timer: any DispatchSourceTimer
    private let logger: Logger

    /// Loads the program, or takes over the one that is there, and gives it the key.
    ///
    /// - Parameters:
    ///   - choice: Whether to do so.
    ///   - parent: The folder in which filters are pinned.
    ///   - queueNumber: The first queue of the daemon, which is bound already.
    ///   - keys: The key whose codes are right.
    ///   - usesTime: Whether codes depend on the time.
    ///   - logger: Where it says whether there is a filter.
    /// - Returns: nil if there is none.
    /// - Throws: What keeps the program out of the kernel, where the choice is `on`.
    package static func start(
        _ choice: KernelFilterChoice, in parent: FilePath, queueNumber: UInt16, keys: KeySchedule, usesTime: Bool,
        logger: Logger
    ) throws(FatalError) -> KernelFilterKeeper? {
        do throws(KernelFilterError) {
            let pinFolder = try KernelFilter.pinFolder(in: parent, queue: queueNumber)
            guard choice != .off else {
                // The rules may still hold one, with keys of yesterday.
                try KernelFilter.switchOff(pinFolder: pinFolder)
                return nil
            }
            let filter = try KernelFilter.load(object: try KernelFilter.locateObject(), pinFolder: pinFolder)
            try filter.update(keys: [FilterKey(keys)], usesTime: usesTime, clock: clock())
            let advice =
                filter.origin == .takenOver ? "rules that hold it use it on" : "'server.sh up' puts it into the rules"
            logger.notice(
                "kernel filter ready: \(advice)", metadata: ["program": "\(pinFolder.appending("syn_code"))"])
            return KernelFilterKeeper(filter, logger)
        } catch {
            guard choice == .auto else {
                if choice == .off { return nil }
                throw FatalError("--kernel-filter on: \(error)", status: EX_UNAVAILABLE)
            }
            // The rules may hold one that an earlier run has left.
            if let folder = try? KernelFilter.pinFolder(in: parent, queue: queueNumber) {
                try? KernelFilter.switchOff(pinFolder: folder)
            }
            logger.notice("no kernel filter, the daemon judges all SYNs: \(error)")
            return nil
        }
    }

    private init(_ filter: KernelFilter, _ logger: Logger) {
        self.filter = filter
        self.logger = logger
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { [unowned self] in refresh() }
        timer.schedule(
            deadline: .now() + .seconds(Self.refreshInterval), repeating: .seconds(Self.refreshInterval),
            leeway: .milliseconds(100))
        timer.activate()
    }

    private func refresh() {
        do throws(KernelFilterError) {
            try filter.refreshClock(Self.clock())
        } catch {
            logger.error("kernel filter switched off: \(error)")
            timer.cancel()
            filter.disarm()
        }
    }

    /// Takes the key out of the kernel again.
    package func stop() {
        queue.sync {
            timer.cancel()
            filter.disarm()
        }
    }

    /// What the program has counted, for the log.
    package var metadata: Logger.Metadata {
        queue.sync {
            guard let counters = try? filter.counters() else { return [:] }
            return ["kernel-filter-wrong": "\(counters.wrong)", "kernel-filter-passed": "\(counters.passed)"]
        }
    }

    private static func clock() -> FilterClock {
        FilterClock(
            wallClock: SystemClock.nanoseconds(CLOCK_REALTIME), monotonic: SystemClock.nanoseconds(CLOCK_MONOTONIC))
    }
}
