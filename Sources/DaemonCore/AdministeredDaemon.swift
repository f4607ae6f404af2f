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
internal import Settings
package import Wire

/// What both daemons do beside giving verdicts; what differs from one to the other is to be provided.
///
/// What people ask for - to read the configuration again, to let somebody in - is done one after the other on a queue
/// of its own, and so are the chores of every second; what events ask for, on the thread that takes them.
package protocol AdministeredDaemon: AnyObject, Sendable {
    associatedtype Flags: DaemonFlags
    /// Whom a configuration names, with their keys.
    associatedtype Roster

    var flags: Flags { get }
    var logger: Logger { get }
    var registry: KeyRegistry { get }
    /// Whom the daemon has become; nil if it stays who it is.
    var identity: Identity? { get }
    var administration: DispatchQueue { get }
    var watchers: WatchBoard { get }
    var control: ControlSocket? { get }

    /// The settings in force.
    var settings: Flags.Settings { get }
    /// Reads all keys of other settings.
    ///
    /// - Throws: Which key cannot be read, or that they do not go together.
    func roster(_ settings: Flags.Settings) throws(FatalError) -> Roster
    /// Keeps those of the daemon's own settings that cannot change while it runs.
    func keepFixed(_ keeper: inout SettingsKeeper<Flags.Settings>)
    /// Puts other settings in force.
    ///
    /// - Returns: What has changed, for people.
    /// - Throws: Why they cannot be; then the old ones stay.
    func adopt(_ settings: Flags.Settings, _ roster: Roster) throws(FatalError) -> String

    /// Does what an event asks for, on the thread that takes events.
    func take(_ event: Event)
    /// What is to be done every second beside what both daemons do.
    func doChores()
    /// Waits, for a limited time, until what must not be left half done at the end is done.
    func finish()
    /// What reports of the counters are to say beside them.
    func countedElsewhere() -> Logger.Metadata
    /// Looks anew, for a limited time, at what may have changed just now, before somebody is told how it is doing.
    func freshen()
    /// Says how it is doing.
    func statusReport() -> StatusReport
    /// What is to be said after the configuration was read again beside what has changed.
    func noteReload() -> String?
    /// Says who is locked out.
    func locks(_ form: ControlRequest.Form) -> ControlAnswer
    /// Lets an address in again.
    func unlock(_ address: IPAddress) -> ControlAnswer
}

extension AdministeredDaemon {
    package func finish() {}

    package func countedElsewhere() -> Logger.Metadata { [:] }

    package func freshen() {}

    package func noteReload() -> String? { nil }

    /// Does all that both daemons do, while `work` gives verdicts until a signal ends it.
    ///
    /// - Parameters:
    ///   - details: What the log says beside `ready`.
    ///   - work: Is given what to do beside verdicts.
    /// - Throws: What `work` throws.
    package func administer(
        _ details: Logger.Metadata, while work: (DaemonDuties) throws(FatalError) -> Void
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
        var duties = DaemonDuties()
        duties.details = details
        duties.name = { [registry] in registry.name(of: $0) }
        duties.take = { [self] in take($0) }
        duties.reload = { [self] in _ = administration.sync { reload() } }
        duties.finish = { [self] in finish() }
        duties.more = { [self] in countedElsewhere() }
        try work(duties)
    }

    /// Says at once, not only when it is too late, what keeps a daemon with few privileges from reading its files again.
    package func tryReload() {
        do throws(FatalError) {
            _ = try roster(try flags.effectiveSettings().settings)
        } catch {
            logger.warning("a reload would fail: \(error.explained(for: identity).description)")
        }
    }

    /// Carries out a request that came over the control socket.
    package func answer(_ request: ControlRequest, _ form: ControlRequest.Form) -> ControlAnswer {
        if request == .status { freshen() }
        return administration.sync {
            switch request {
            case .status:
                let report = statusReport()
                let text = form == .json ? report.json.text + "\n" : report.text
                // What is not known is not well.
                let isWell = report.protection.map { $0.isProtected == true } ?? true
                return isWell ? .done(text) : .doneBut(1, text)
            case .locks:
                return locks(form)
            case .unlock(let address):
                return unlock(address)
            case .reload:
                return reload()
            case .watch:
                return .failed(EX_PROTOCOL, "to watch is not answered here")
            }
        }
    }

    /// Reads the configuration again; what is wrong with it leaves the old one in force.
    ///
    /// To be called on the queue of administration.
    package func reload() -> ControlAnswer {
        do throws(FatalError) {
            let effective = try flags.effectiveSettings()
            effective.logWarnings(to: logger)
            var keeper = SettingsKeeper(effective.settings, settings)
            keepFixed(&keeper)
            keeper.keepCommon()
            let change = try adopt(keeper.settings, try roster(keeper.settings))
            let kept = keeper.kept.joined(separator: ", ")
            var text = "configuration read again: \(change)"
            if !kept.isEmpty { text += "; changed only at the next start: \(kept)" }
            logger.notice("\(text)")
            if let note = noteReload() { text += "\n" + note }
            return .done(text + "\n")
        } catch {
            let error = error.explained(for: identity)
            logger.error("configuration not read again, the old one stays in force: \(error.description)")
            return .failed(error.status, "the old configuration stays in force:\n\(error.description)")
        }
    }
}
