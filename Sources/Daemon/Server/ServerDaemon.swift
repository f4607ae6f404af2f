// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
internal import Glibc
internal import KnockEngine
internal import KnockProtocol
internal import Logging
internal import NetfilterQueue
internal import Settings
internal import Synchronization
internal import SystemPackage
internal import Wire

/// `tcpknock-server`: its queues, and all that is done beside giving verdicts.
///
/// What people ask for - to read the configuration again, to let somebody in - is done one after the other on a queue
/// of its own; what events ask for, on the thread that takes them.
package final class ServerDaemon: Sendable {
    /// What is in force.
    struct State {
        var settings: ServerSettings
        var roster: GuestRoster
        /// All guests since the start: connections of those who are none any longer still have to end.
        var everyone: [KeyID: GuestSettings]

        init(_ settings: ServerSettings, _ roster: GuestRoster) {
            self.settings = settings
            self.roster = roster
            everyone = roster.settings
        }

        mutating func adopt(_ settings: ServerSettings, _ roster: GuestRoster) {
            self.settings = settings
            self.roster = roster
            everyone.merge(roster.settings) { $1 }
        }
    }

    let flags: ServerFlags
    let logger: Logger
    let state: Mutex<State>
    let registry: KeyRegistry
    let shared: SharedState
    let workers: WorkerGroup<ServerEngine>
    let filter: KernelFilterKeeper
    let connections: ConnectionKeeper
    let hooks: GuestHooks
    let enforcer: LockoutEnforcer
    let watchers: WatchBoard
    let keeper: StateKeeper?
    let identity: Privileges.Identity?
    let queueListing = QueueListing()
    let administration = DispatchQueue(label: "administration")
    let started = SystemClock.now()
    private let runner: DaemonRunner
    private let control: ControlSocket?

    /// Reads configuration and keys, and binds the queues.
    ///
    /// - Throws: What keeps the daemon from its work.
    package init(_ flags: ServerFlags) throws(FatalError) {
        try Privileges.forbidDumps()
        let effective = try flags.effectiveSettings()
        let settings = effective.settings
        try AddressSpace.check(queues: settings.queues.count)
        let identity = try Privileges.find(settings.user)
        let logger = settings.logger("tcpknock-server")
        effective.logWarnings(to: logger)
        let registry = KeyRegistry()
        let roster = try GuestRoster(settings, registry)
        let runner = try DaemonRunner(logger: logger, partyLabel: "guest")
        let configuration = ServerEngine.Configuration(settings)
        let shared = SharedState(configuration)
        let workers = try Self.workers(settings, roster, configuration, shared, runner)

        filter = KernelFilterKeeper(settings, logger: logger)
        try filter.supply(roster.guests, settings)
        control = try ControlSocket.open(settings, identity: identity, logger: logger)
        connections = ConnectionKeeper(markBits: settings.mark, logger: logger)
        keeper = try StateKeeper.open(
            settings, identity: identity, shared: shared, book: connections.book, registry: registry, logger: logger)
        try Privileges.reduce(to: identity)
        hooks = try GuestHooks(settings, logger: logger)
        enforcer = LockoutEnforcer(queue: settings.queues.lowerBound, logger: logger)
        watchers = WatchBoard { isWatched in
            let reporting = configuration.reporting.union(isWatched ? .all : [])
            workers.perform { $0.ledger.reporting = reporting }
        }
        state = Mutex(State(settings, roster))
        (self.flags, self.logger, self.registry, self.shared) = (flags, logger, registry, shared)
        (self.workers, self.runner, self.identity) = (workers, runner, identity)
        tryReload()
    }

    /// Says at once, not only when it is too late, what keeps a daemon with few privileges from reading its files again.
    private func tryReload() {
        do throws(FatalError) {
            _ = try GuestRoster(try flags.effectiveSettings().settings, registry)
        } catch {
            logger.warning("a reload would fail: \(error.explained(for: identity).description)")
        }
    }

    private static func workers(
        _ settings: ServerSettings, _ roster: GuestRoster, _ configuration: ServerEngine.Configuration,
        _ shared: SharedState, _ runner: DaemonRunner
    ) throws(FatalError) -> WorkerGroup<ServerEngine> {
        // Server packets are never modified but for SYN/ACKs, which are short; the rest needs only headers.
        var options = Queue.Options()
        options.copyRange = 512
        var workers: [Worker<ServerEngine>] = []
        for number in settings.queues {
            let engine = ServerEngine(guests: roster.guests, configuration: configuration, shared: shared)
            let loop = PacketLoop(
                queue: try Queue.bind(number, options), engine: engine, markBit: settings.mark,
                resets: settings.onFailure == .reset ? try ResetSender.open() : nil, clock: SystemClock.now)
            workers.append(try runner.worker(loop))
        }
        return WorkerGroup(workers)
    }

    /// Works until a signal ends it.
    ///
    /// - Throws: What made a queue unusable.
    package func run() throws(FatalError) {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        if settings.countBytes { ByteCounting.enable(logger) }
        connections.start { [self] in noteEnd($0) }
        connections.adopt(ports: settings.targetPorts)
        control?.start(logger: logger, watchers: watchers) { [self] in answer($0, $1) }
        filter.start()
        let chores = startChores()
        let keeping = startKeeping()
        let metrics = MetricsKeeper(settings.metricsFile, logger: logger) { [self] in metricFamilies() }

        var duties = DaemonDuties()
        duties.details = settings.details(
            queues: settings.queues, ports: settings.targetPorts, fingerprint: roster.fingerprint)
        if roster.fingerprint == nil { duties.details["guests"] = "\(roster.guests.count)" }
        duties.name = { [registry] in registry.name(of: $0) }
        duties.take = { [self] in take($0) }
        duties.reload = { [self] in _ = reload() }
        duties.more = { [filter] in
            guard let counters = filter.counters else { return [:] }
            return ["kernel-filter-wrong": "\(counters.wrong)", "kernel-filter-passed": "\(counters.passed)"]
        }
        defer {
            control?.remove()
            chores.cancel()
            keeping?.cancel()
            keeper?.close()
            metrics.stop()
            hooks.shutDown()
            filter.stop()
            administration.sync { KeyMemory.wipe() }
        }
        try runner.run(workers, duties)
    }

    /// What is to be done every second: ending the connections of guests whose time is over.
    private func startChores() -> any DispatchSourceTimer {
        let timer = DispatchSource.makeTimerSource(queue: administration)
        timer.schedule(deadline: .now() + .seconds(1), repeating: .seconds(1), leeway: .milliseconds(100))
        timer.setEventHandler { [self] in
            watchers.sweep()
            closeWhatIsNotAdmitted()
        }
        timer.activate()
        return timer
    }

    /// What is to be done every second, and may take its time.
    private func startKeeping() -> (any DispatchSourceTimer)? {
        guard let keeper else { return nil }
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "keeping"))
        timer.schedule(deadline: .now() + .seconds(1), repeating: .seconds(1), leeway: .milliseconds(100))
        timer.setEventHandler { keeper.tick() }
        timer.activate()
        return timer
    }
}
