// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import Dispatch
internal import Glibc
internal import JSONText
package import KnockEngine
internal import KnockProtocol
package import Linux
package import Logging
package import Program
package import Settings
package import Wire

/// The duties that both daemons share besides giving verdicts.
///
/// Each daemon provides what is specific to it.
///
/// Requests from users, such as a reload or an unlock, are handled one after the other on a queue of their own, and so
/// is the work that is done every second. Events are handled on the event thread.
package protocol AdministeredDaemon: AnyObject, Sendable {
    associatedtype Settings: DaemonSettings
    /// The guests or targets of a configuration, with their keys.
    associatedtype Roster

    var flags: DaemonFlags<Settings> { get }
    var logger: Logger { get }
    var registry: KeyRegistry { get }
    /// The user that the daemon has become; nil if it keeps its user.
    var identity: Identity? { get }
    var administration: DispatchQueue { get }
    var watchers: WatchBoard { get }
    var control: ControlSocket? { get }

    /// The settings in force.
    var settings: Settings { get }
    /// Reads all keys that the given settings name.
    ///
    /// - Throws: `FatalError` if a key cannot be read or the keys do not go together.
    func roster(_ settings: Settings) throws(FatalError) -> Roster
    /// Puts new settings in force.
    ///
    /// - Returns: A summary of the changes, for display.
    /// - Throws: The reason why they cannot be put in force. The old ones then stay.
    func adopt(_ settings: Settings, _ roster: Roster) throws(FatalError) -> String

    /// Does what an event requires.
    ///
    /// Called on the event thread.
    func take(_ event: Event)
    /// Does the daemon's own work that is due every second.
    func doChores()
    /// Waits for a limited time until work is done that must not be left unfinished on shutdown.
    func finish()
    /// Returns further counts for the report of the counters.
    func countedElsewhere() -> Logger.Metadata
    /// Updates, within a limited time, whatever may just have changed.
    ///
    /// Called before the status is reported.
    func freshen()
    /// Returns the daemon's status.
    func statusReport() -> StatusReport
    /// Returns a note to display after a reload; nil if there is none.
    func noteReload() -> String?
    /// Returns the list of lockouts.
    func locks(_ form: ControlRequest.Form) -> ControlAnswer
    /// Ends the lockout of an address.
    func unlock(_ address: IPAddress) -> ControlAnswer
}

extension AdministeredDaemon {
    package func finish() {}

    package func countedElsewhere() -> Logger.Metadata { [:] }

    package func freshen() {}

    package func noteReload() -> String? { nil }

    /// Does the shared work of both daemons until a signal ends it.
    ///
    /// - Parameters:
    ///   - workers: The threads that give the verdicts.
    ///   - runner: Runs the workers.
    ///   - details: The details to log with `ready`.
    /// - Throws: The error that made a queue unusable.
    package func administer<Judge: Engine & ~Copyable>(
        _ workers: WorkerGroup<Judge>, by runner: DaemonRunner, _ details: Logger.Metadata
    ) throws(FatalError) {
        control?.start(logger: logger, watchers: watchers) { [self] in answer($0, $1) }
        let chores = administration.every(seconds: 1, after: 1) { [self] in
            watchers.sweep()
            doChores()
        }
        let metrics = MetricsKeeper(settings.metricsFile, logger: logger) { [self] in
            administration.sync { DaemonMetrics.families(statusReport()) }
        }
        defer {
            control?.remove()
            chores.cancel()
            metrics.stop()
            administration.sync { KeyMemory.wipe() }
        }
        try runner.run(workers, of: self, details)
    }

    /// Tests whether a reload would work, and logs the obstacle if not.
    ///
    /// This reports at start-up, rather than at the first reload, that a daemon with reduced privileges cannot read its
    /// files.
    package func tryReload() {
        do throws(FatalError) {
            _ = try roster(try flags.effectiveSettings().settings)
        } catch {
            logger.log(.warning, "a reload would fail", error.explained(for: identity))
        }
    }

    /// Carries out a request received over the control socket.
    package func answer(_ request: ControlRequest, _ form: ControlRequest.Form) -> ControlAnswer {
        if request == .status { freshen() }
        return administration.sync {
            switch request {
            case .status:
                let report = statusReport()
                let text = form == .json ? report.json.text + "\n" : report.text
                // If the protection is unknown, the daemon does not count as healthy.
                let isWell = report.protection.map { $0.isProtected == true } ?? true
                return isWell ? .done(text) : .doneBut(1, text)
            case .locks:
                return locks(form)
            case .unlock(let address):
                return unlock(address)
            case .reload:
                return reload()
            case .watch:
                return .failed(.wrongProtocol, "to watch is not answered here")
            }
        }
    }

    /// Reads the configuration again.
    ///
    /// If it has an error, the old one stays in force.
    ///
    /// Call this on the administration queue.
    package func reload() -> ControlAnswer {
        do throws(FatalError) {
            let effective = try flags.effectiveSettings()
            effective.logWarnings(to: logger)
            var new = effective.settings
            let kept = new.retainFixed(from: settings).joined(separator: ", ")
            let change = try adopt(new, try roster(new))
            var text = "configuration read again: \(change)"
            if !kept.isEmpty { text += "; changed only at the next start: \(kept)" }
            logger.notice("\(text)")
            if let note = noteReload() { text += "\n" + note }
            return .done(text + "\n")
        } catch {
            let error = error.explained(for: identity)
            logger.log(.error, "configuration not read again, the old one stays in force", error)
            return .failed(error.status, "the old configuration stays in force:\n\(error.description)")
        }
    }
}
