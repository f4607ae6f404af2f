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
internal import Wire

/// The daemon `tcpknock-client`: its queue, and everything it does besides giving verdicts.
package final class ClientDaemon: AdministeredDaemon {
    /// The interval for checking on shutdown whether all answers have arrived, in milliseconds.
    private static let answerInterval: Int32 = 10

    private struct State {
        var settings: ClientSettings
        var roster: TargetRoster
    }

    let flags: DaemonFlags<ClientSettings>
    let logger: Logger
    private let state: Mutex<State>
    let registry: KeyRegistry
    private let workers: WorkerGroup<ClientEngine>
    private let connections: ConnectionKeeper
    let watchers: WatchBoard
    private let names: HostNames
    private let runner: DaemonRunner
    let control: ControlSocket?
    let identity: Identity?
    private let queueListing = QueueListing()
    let administration = DispatchQueue(label: "administration")
    private let namesChanged: Signal
    private let started = SystemClock.now()

    /// Reads the configuration and the keys, and binds the queue.
    ///
    /// - Throws: Whatever prevents start-up.
    package init(_ flags: DaemonFlags<ClientSettings>) throws(FatalError) {
        try Privileges.forbidDumps()
        let effective = try flags.effectiveSettings()
        let settings = effective.settings
        try AddressSpace.check(queues: 1)
        identity = try Identity.find(settings.user)
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
        try FileBroker.start(for: identity)
        try Privileges.reduce(to: identity)
        let namesChanged = Signal()
        let names = HostNames(logger: logger) { namesChanged.send() }
        names.adopt(roster.hostNames)
        let engine = ClientEngine(targets: roster.targets(names.addresses), reporting: reporting)
        let worker = try runner.worker(
            PacketLoop(queue: queue, engine: engine, markBit: settings.mark, clock: SystemClock.now))
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

    /// Runs until a signal ends it.
    ///
    /// - Throws: The error that made the queue unusable.
    package func run() throws(FatalError) {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        if settings.countBytes { ByteCounting.enable(logger) }
        connections.start { [self] in noteEnd($0) }
        namesChanged.handler.withLock { handler in
            handler = { [self] in
                administration.async { [self] in adoptTargets() }
            }
        }
        names.start()
        let details = settings.details(
            queues: settings.queue...settings.queue, ports: settings.allPorts, fingerprint: roster.fingerprint)
        try administer(workers, by: runner, details)
    }

    /// Stops coding SYNs, and waits for the SYN/ACKs to coded ones, at most two seconds.
    func finish() {
        workers.perform { $0.leave() }
        while workers.sum(false, { $0 = $0 || $1.awaitsAnswers(at: SystemClock.now()) }) {
            _ = poll(nil, 0, Self.answerInterval)
        }
    }

    // MARK: Events

    func take(_ event: Event) {
        watchers.show(event, of: event.key.flatMap { registry.name(of: $0) })
        if event.reason == .synAckProven { connections.book.add(event.flow, event.key, at: event.time) }
    }

    private func noteEnd(_ ended: EndedConnection) {
        let metadata = ended.metadata("target", ended.connection.key.flatMap { registry.name(of: $0) })
        logger.info("connection ended", metadata: metadata)
    }

    // MARK: Requests

    var settings: ClientSettings { state.withLock { $0.settings } }

    func roster(_ settings: ClientSettings) throws(FatalError) -> TargetRoster {
        try TargetRoster(settings, registry)
    }

    func adopt(_ settings: ClientSettings, _ roster: TargetRoster) -> String {
        state.withLock { $0 = State(settings: settings, roster: roster) }
        names.adopt(roster.hostNames)
        adoptTargets()
        return "\(settings.targets.count) target\(settings.targets.count == 1 ? "" : "s")"
    }

    private func adoptTargets() {
        let targets = state.withLock { $0.roster }.targets(names.addresses)
        if !workers.perform({ $0.adopt(targets: targets) }) {
            logger.error("the queue has not taken over the targets in time")
        }
    }

    func doChores() {}

    func locks(_ form: ControlRequest.Form) -> ControlAnswer { Self.locksNobodyOut }

    func unlock(_ address: IPAddress) -> ControlAnswer { Self.locksNobodyOut }

    private static let locksNobodyOut = ControlAnswer.failed(.usage, "only the server locks anybody out")

    func statusReport() -> StatusReport {
        let (settings, roster) = state.withLock { ($0.settings, $0.roster) }
        let totals = workers.totals { $0.handshakeCount }
        return StatusReport(
            program: "tcpknock-client", partyLabel: "target", started: started, now: SystemClock.now(),
            queues: queueListing.all().filter { $0.number == settings.queue },
            counters: totals.counters,
            handshakes: totals.handshakes, parties: roster.parties(names.addresses),
            connections: connections.rows(registry), unrecorded: connections.book.unrecorded, lockedOut: nil,
            usedCodes: nil, kernelFilter: nil, protection: nil, rulesLost: nil)
    }
}

/// Calls the handler that is set at that time.
private final class Signal: Sendable {
    let handler = Mutex<@Sendable () -> Void>({})

    func send() { handler.withLock { $0 }() }
}
