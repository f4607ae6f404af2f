// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import KnockEngine
import NetfilterQueue

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

    @OptionGroup var common: CommonOptions

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp(
            "The queue of the firewall rules, or FIRST:LAST for several, with a thread for each. (default: 100)",
            valueName: "number"),
        transform: QueueRange.parse)
    var queues: ClosedRange<UInt16> = 100...100

    @Option(
        name: [.customLong("lockout-seconds"), .customLong("lockout_seconds")],
        help: ArgumentHelp("How long a wrong third ACK locks its sender out.", valueName: "seconds"),
        transform: { text in
            guard let seconds = UInt32(text), seconds >= 1, seconds <= 86_400 else {
                throw ValidationError("'\(text)' is no lockout time: that is 1 to 86400 seconds")
            }
            return seconds
        })
    var lockoutSeconds: UInt32 = 120

    @Option(
        help: ArgumentHelp(
            "The bit of the packet mark that says 'verified', as in the firewall rules. (default: 0x1000)",
            valueName: "bit"),
        transform: MarkBit.parse)
    var mark: UInt32 = MarkBit.default

    @Option(
        name: [.customLong("kernel-filter"), .customLong("kernel_filter")],
        help: ArgumentHelp(
            "Whether the kernel drops SYNs with a wrong code by a program of its own: auto does where it can.",
            valueName: "when"))
    var kernelFilter = KernelFilterChoice.auto

    @Option(
        name: [.customLong("pin-folder"), .customLong("pin_folder")],
        help: ArgumentHelp("Where that program is pinned, as in the firewall rules.", valueName: "path"))
    var pinFolder = "/sys/fs/bpf/tcpknock"

    func run() throws {
        try reportingErrors(of: "tcpknock-server") { () throws(FatalError) in
            let logger = common.logger("tcpknock-server")
            let keys = try common.readKeys()
            let runner = try DaemonRunner(logger: logger)

            var configuration = ServerEngine.Configuration()
            configuration.targetPorts = common.effectiveTargetPorts
            configuration.lockoutSeconds = lockoutSeconds
            configuration.usesTime = !common.noTime
            configuration.reporting = common.logLevel == .debug ? .drops : []
            let guests = [Guest(id: KeyID(0), keys: keys, ports: configuration.targetPorts)]

            // Server packets are never modified but for SYN/ACKs, which are short; the rest needs only headers.
            var options = Queue.Options()
            options.copyRange = 512
            let shared = SharedState(configuration)
            var workers: [Worker<ServerEngine>] = []
            for number in queues {
                let queue = try common.bindQueue(number, options)
                let engine = ServerEngine(guests: guests, configuration: configuration, shared: shared)
                workers.append(
                    try runner.worker(
                        PacketLoop(
                            queue: queue, engine: engine, marks: MarkBits(verified: mark), clock: SystemClock.now)))
            }
            let filter = try KernelFilterKeeper.start(
                kernelFilter, in: pinFolder, queueNumber: queues.lowerBound, keys: keys,
                usesTime: configuration.usesTime, logger: logger)
            defer { filter?.stop() }
            let enforcer = LockoutEnforcer(
                ports: configuration.targetPorts, seconds: lockoutSeconds, queue: queues.lowerBound, logger: logger)
            let details = common.details(queues: queues, keys: keys)
            try runner.run(workers, details, more: { filter?.metadata ?? [:] }) { event in
                if event.reason.endsConnections { enforcer.enforce(on: event.flow.clientAddress) }
            }
        }
    }
}
