// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import Glibc
import KnockEngine
import KnockProtocol
import NetfilterQueue
import Settings

@main
struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock-server",
        abstract: "Admits TCP connections to protected ports only from who knows the key.",
        discussion: """
            Gives the verdicts on what firewall/server.sh queues: SYNs to the protected ports must carry a right code, \
            SYN/ACKs go out with a masked ISN and the server's proof, and the third ACK must acknowledge the true ISN. \
            A wrong third ACK locks its sender out and closes its connections.

            Says 'ready' on standard output when the queue is bound; logs to standard error. SIGUSR1 logs the counters.
            """,
        version: version)

    @OptionGroup var flags: ServerFlags

    func run() throws {
        try reportingErrors(of: "tcpknock-server") { () throws(FatalError) in
            guard try !flags.answer(as: "tcpknock-server") else { return }
            let effective = try flags.effectiveSettings()
            let settings = effective.settings
            let logger = settings.logger("tcpknock-server")
            effective.logWarnings(to: logger)
            try refuseWhatIsNotDoneYet(settings)
            let keys = try KeySchedule.read(settings.effectiveGuests[0].keyFile)
            let runner = try DaemonRunner(logger: logger)

            var configuration = ServerEngine.Configuration()
            configuration.targetPorts = settings.targetPorts
            configuration.lockoutSeconds = settings.lockoutSeconds
            configuration.usesTime = !settings.noTime
            configuration.reporting = settings.logLevel == .debug ? .drops : []
            let guests = [Guest(id: KeyID(0), keys: keys, ports: configuration.targetPorts)]

            // Server packets are never modified but for SYN/ACKs, which are short; the rest needs only headers.
            var options = Queue.Options()
            options.copyRange = 512
            let shared = SharedState(configuration)
            var workers: [Worker<ServerEngine>] = []
            for number in settings.queues {
                let queue = try Queue.bind(number, options)
                let engine = ServerEngine(guests: guests, configuration: configuration, shared: shared)
                workers.append(
                    try runner.worker(
                        PacketLoop(
                            queue: queue, engine: engine, marks: MarkBits(verified: settings.mark),
                            clock: SystemClock.now)))
            }
            let filter = try KernelFilterKeeper.start(
                settings.kernelFilter, in: settings.pinFolder, queueNumber: settings.queues.lowerBound, keys: keys,
                usesTime: configuration.usesTime, logger: logger)
            defer { filter?.stop() }
            let enforcer = LockoutEnforcer(
                ports: configuration.targetPorts, seconds: settings.lockoutSeconds, queue: settings.queues.lowerBound,
                logger: logger)
            let details = settings.details(queues: settings.queues, keys: keys)
            try runner.run(workers, details, more: { filter?.metadata ?? [:] }) { event in
                if event.reason.endsConnections { enforcer.enforce(on: event.flow.clientAddress) }
            }
        }
    }

    /// A setting that would be without effect ends the daemon instead.
    private func refuseWhatIsNotDoneYet(_ settings: ServerSettings) throws(FatalError) {
        let refused = [
            ("guest", !settings.guests.isEmpty), ("on_failure", settings.onFailure != .drop),
            ("lockout_after_wrong_codes", settings.lockoutAfterWrongCodes > 0),
            ("metrics_file", settings.metricsFile != nil), ("log_target", settings.logTarget != .stderr),
            ("on_admit", settings.onAdmit != nil), ("on_close", settings.onClose != nil),
            ("on_lockout", settings.onLockout != nil),
        ]
        for (key, isGiven) in refused where isGiven {
            throw FatalError("\(key): this version cannot do that yet", status: EX_CONFIG)
        }
    }
}
