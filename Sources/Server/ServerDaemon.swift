// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import DaemonCore
internal import Dispatch
internal import Glibc
internal import KnockEngine
internal import KnockProtocol
package import Linux
internal import Logging
internal import Netfilter
package import Program
package import Settings
internal import Synchronization
internal import SystemPackage
internal import Wire

/// The daemon `tcpknock-server`: its queues, and everything it does besides giving verdicts.
package final class ServerDaemon: AdministeredDaemon {
    /// The configuration in force.
    struct State {
        var settings: ServerSettings
        var roster: GuestRoster
        /// All guests since the start, including removed ones, whose connections may still be open.
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

    let flags: DaemonFlags<ServerSettings>
    let logger: Logger
    let state: Mutex<State>
    let registry: KeyRegistry
    let shared: SharedState
    let workers: WorkerGroup<ServerEngine>
    let filter: KernelFilterKeeper
    let connections: ConnectionKeeper
    let hooks: GuestHooks
    let enforcer: LockoutEnforcer
    let rules: RulesGuard
    let watchers: WatchBoard
    let keeper: StateKeeper?
    let identity: Identity?
    let usedCodeRoom = Mutex(RoomWatch("used codes", whenFull: "no new connection begins until some have expired"))
    let queueListing = QueueListing()
    let administration = DispatchQueue(label: "administration")
    let started = SystemClock.now()
    let control: ControlSocket?
    private let runner: DaemonRunner

    /// Reads the configuration and the keys, and binds the queues.
    ///
    /// - Throws: Whatever prevents start-up.
    package init(_ flags: DaemonFlags<ServerSettings>) throws(FatalError) {
        try Privileges.forbidDumps()
        let effective = try flags.effectiveSettings()
        let settings = effective.settings
        let configuration = ServerEngine.Configuration(settings)
        try AddressSpace.check(queues: settings.queues.count, tables: SharedState.mostMemory(configuration))
        let identity = try Identity.find(settings.user)
        let logger = settings.logger("tcpknock-server")
        effective.logWarnings(to: logger)
        let registry = KeyRegistry()
        let roster = try GuestRoster(settings, registry)
        let runner = try DaemonRunner(logger: logger, partyLabel: "guest")
        let shared = SharedState(configuration)
        let workers = try Self.workers(settings, roster, configuration, shared, runner)

        filter = KernelFilterKeeper(settings, logger: logger)
        try filter.supply(roster.guests, settings)
        control = try ControlSocket.open(settings, identity: identity, logger: logger)
        connections = ConnectionKeeper(markBits: settings.mark, logger: logger)
        keeper = try StateKeeper.open(
            settings, identity: identity, shared: shared, book: connections.book, registry: registry, logger: logger)
        try FileBroker.start(for: identity)
        try Privileges.limitPrograms()
        rules = RulesGuard(settings, logger: logger)
        try Privileges.reduce(to: identity)
        hooks = try GuestHooks(settings, logger: logger)
        enforcer = LockoutEnforcer(logger: logger)
        watchers = WatchBoard { isWatched in
            let reporting = configuration.reporting.union(isWatched ? .all : [])
            workers.perform { $0.ledger.reporting = reporting }
        }
        state = Mutex(State(settings, roster))
        (self.flags, self.logger, self.registry, self.shared) = (flags, logger, registry, shared)
        (self.workers, self.runner, self.identity) = (workers, runner, identity)
        tryReload()
    }

    private static func workers(
        _ settings: ServerSettings, _ roster: GuestRoster, _ configuration: ServerEngine.Configuration,
        _ shared: SharedState, _ runner: DaemonRunner
    ) throws(FatalError) -> WorkerGroup<ServerEngine> {
        // Of the packets that the server sees, only SYN/ACKs are modified, and they are short. Headers suffice for the
        // rest.
        var options = Queue.Options()
        options.copyRange = 512
        var workers: [Worker<ServerEngine>] = []
        for number in settings.queues {
            let engine = ServerEngine(guests: roster.guests, configuration: configuration, shared: shared)
            let loop = PacketLoop(
                queue: try Queue.bind(number, options), engine: engine, markBit: settings.mark,
                resets: settings.onFailure == .reset ? try ResetSender.open(mark: settings.mark) : nil,
                clock: SystemClock.now)
            workers.append(try runner.worker(loop))
        }
        return WorkerGroup(workers)
    }

    /// Runs until a signal ends it.
    ///
    /// - Throws: The error that made a queue unusable.
    package func run() throws(FatalError) {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        if settings.countBytes { ByteCounting.enable(logger) }
        connections.start { [self] in noteEnd($0) }
        connections.adopt(ports: settings.targetPorts)
        filter.start()
        rules.start()
        let keeping = keeper.map { keeper in
            // On a queue of its own, because writing may take a while.
            DispatchQueue(label: "keeping").every(seconds: 1, after: 1) { keeper.tick() }
        }
        defer {
            keeping?.cancel()
            keeper?.close()
            hooks.shutDown()
            filter.stop()
            rules.stop()
        }
        var details = settings.details(
            queues: settings.queues, ports: settings.targetPorts, fingerprint: roster.fingerprint)
        if roster.fingerprint == nil { details["guests"] = "\(roster.guests.count)" }
        try administer(workers, by: runner, details)
    }

    func countedElsewhere() -> Logger.Metadata {
        guard let counters = filter.counters else { return [:] }
        return ["kernel-filter-wrong": "\(counters.wrong)", "kernel-filter-passed": "\(counters.passed)"]
    }
}
