// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
internal import JSONText
internal import KnockEngine
internal import KnockProtocol
internal import Logging
internal import NetfilterQueue
internal import Settings
internal import Synchronization
internal import Wire

/// `tcpknock-client`: its queue, and all that is done beside giving verdicts.
package final class ClientDaemon: Sendable {
    private struct State {
        var settings: ClientSettings
        var roster: TargetRoster
    }

    private let flags: ClientFlags
    private let logger: Logger
    private let state: Mutex<State>
    private let registry: KeyRegistry
    private let workers: WorkerGroup<ClientEngine>
    private let connections: ConnectionKeeper
    private let watchers: WatchBoard
    private let names: HostNames
    private let runner: DaemonRunner
    private let control: ControlSocket?
    private let identity: Privileges.Identity?
    private let queueListing = QueueListing()
    private let administration = DispatchQueue(label: "administration")
    private let namesChanged: Signal
    private let started = SystemClock.now()

    /// Reads configuration and keys, and binds the queue.
    ///
    /// - Throws: What keeps the daemon from its work.
    package init(_ flags: ClientFlags) throws(FatalError) {
        try Privileges.forbidDumps()
        let effective = try flags.effectiveSettings()
        let settings = effective.settings
        try AddressSpace.check(queues: 1)
        identity = try Privileges.find(settings.user)
        let logger = settings.logger("tcpknock-client")
        effective.logWarnings(to: logger)
        let registry = KeyRegistry()
        let roster = try TargetRoster(settings, registry)
        let runner = try DaemonRunner(logger: logger, partyLabel: "target")
        let reporting: Ledger.Reporting = settings.logLevel == .debug ? .drops : []

        var options = Queue.Options()
        options.failsOpen = true
        let queue = try Queue.bind(settings.queue, options)
        control = try ControlSocket.open(settings, identity: identity, logger: logger)
        try Privileges.reduce(to: identity)
        let namesChanged = Signal()
        let names = HostNames(logger: logger) { namesChanged.send() }
        names.adopt(roster.hostNames)
        let engine = ClientEngine(targets: roster.targets(names.addresses), reporting: reporting)
        let worker = try runner.worker(
            PacketLoop(queue: queue, engine: engine, markBit: 0, clock: SystemClock.now))
        let workers = WorkerGroup([worker])
        watchers = WatchBoard { isWatched in
            let reporting = reporting.union(isWatched ? .all : [])
            workers.perform { $0.ledger.reporting = reporting }
        }
        connections = ConnectionKeeper(markBits: 0, logger: logger)
        state = Mutex(State(settings: settings, roster: roster))
        (self.flags, self.logger, self.registry) = (flags, logger, registry)
        (self.workers, self.runner, self.names, self.namesChanged) = (workers, runner, names, namesChanged)
        tryReload()
    }

    /// Says at once, not only when it is too late, what keeps a daemon with few privileges from reading its files again.
    private func tryReload() {
        do throws(FatalError) {
            _ = try TargetRoster(try flags.effectiveSettings().settings, registry)
        } catch {
            logger.warning("a reload would fail: \(error.explained(for: identity).description)")
        }
    }

    /// Works until a signal ends it.
    ///
    /// - Throws: What made the queue unusable.
    package func run() throws(FatalError) {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        if settings.countBytes { ByteCounting.enable(logger) }
        connections.start { [self] in noteEnd($0) }
        control?.start(logger: logger, watchers: watchers) { [self] in answer($0, $1) }
        namesChanged.handler.withLock { handler in
            handler = { [self] in
                administration.async { [self] in adoptTargets() }
            }
        }
        names.start()
        let chores = startChores()
        let metrics = MetricsKeeper(settings.metricsFile, logger: logger) { [self] in
            administration.sync { DaemonMetrics.families(statusReport()) }
        }

        var duties = DaemonDuties()
        duties.details = settings.details(
            queues: settings.queue...settings.queue, ports: settings.allPorts, fingerprint: roster.fingerprint)
        duties.name = { [registry] in registry.name(of: $0) }
        duties.take = { [self] in take($0) }
        duties.reload = { [self] in _ = administration.sync { reload() } }
        defer {
            control?.remove()
            chores.cancel()
            metrics.stop()
            administration.sync { KeyMemory.wipe() }
        }
        try runner.run(workers, duties)
    }

    private func startChores() -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: administration)
        timer.schedule(deadline: .now() + .seconds(1), repeating: .seconds(1), leeway: .milliseconds(100))
        timer.setEventHandler { [watchers] in watchers.sweep() }
        timer.activate()
        return timer
    }

    // MARK: Events

    private func take(_ event: Event) {
        watchers.show(event, of: event.key.flatMap { registry.name(of: $0) })
        if event.reason == .synAckProven { connections.book.add(event.flow, event.key, at: event.time) }
    }

    private func noteEnd(_ ended: EndedConnection) {
        let metadata = ended.metadata("target", ended.connection.key.flatMap { registry.name(of: $0) })
        logger.info("connection ended", metadata: metadata)
    }

    // MARK: What people ask for

    private func answer(_ request: ControlRequest, _ form: ControlRequest.Form) -> ControlAnswer {
        administration.sync {
            switch request {
            case .status:
                let report = statusReport()
                return .done(form == .json ? report.json.text + "\n" : report.text)
            case .reload:
                return reload()
            case .locks, .unlock:
                return .failed(EX_USAGE, "only the server locks anybody out")
            case .watch:
                return .failed(EX_PROTOCOL, "to watch is not answered here")
            }
        }
    }

    /// Reads the configuration again; what is wrong with it leaves the old one in force.
    private func reload() -> ControlAnswer {
        do throws(FatalError) {
            let effective = try flags.effectiveSettings()
            effective.logWarnings(to: logger)
            let (settings, kept) = effective.settings.keeping(what: state.withLock { $0.settings })
            let roster = try TargetRoster(settings, registry)
            state.withLock { $0 = State(settings: settings, roster: roster) }
            names.adopt(roster.hostNames)
            adoptTargets()
            var text = "configuration read again: \(settings.targets.count) targets"
            if !kept.isEmpty { text += "; changed only at the next start: \(kept.joined(separator: ", "))" }
            logger.notice("\(text)")
            return .done(text + "\n")
        } catch {
            let error = error.explained(for: identity)
            logger.error("configuration not read again, the old one stays in force: \(error.description)")
            return .failed(error.status, "the old configuration stays in force:\n\(error.description)")
        }
    }

    private func adoptTargets() {
        let targets = state.withLock { $0.roster }.targets(names.addresses)
        if !workers.perform({ $0.adopt(targets: targets) }) {
            logger.error("the queue has not taken over the targets in time")
        }
    }

    private func statusReport() -> StatusReport {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        let totals = workers.totals { $0.handshakeCount }
        return StatusReport(
            program: "tcpknock-client", partyLabel: "target", started: started, now: SystemClock.now(),
            queues: queueListing.all().filter { $0.number == settings.queue }, counters: totals.counters,
            handshakes: totals.handshakes, parties: roster.parties(names.addresses),
            connections: connections.rows(registry), unrecorded: connections.book.unrecorded, lockedOut: nil,
            kernelFilter: nil)
    }
}

/// Calls whatever handler there is by then.
private final class Signal: Sendable {
    let handler = Mutex<@Sendable () -> Void>({})

    func send() { handler.withLock { $0 }() }
}

extension ClientSettings {
    /// These settings, but with those of before that cannot change while the daemon runs; and which of them would have.
    fileprivate func keeping(what old: ClientSettings) -> (settings: ClientSettings, kept: [String]) {
        var keeper = SettingsKeeper(self, old)
        keeper.keep(\.queue, "queue_num")
        keeper.keepCommon()
        return (keeper.settings, keeper.kept)
    }
}
