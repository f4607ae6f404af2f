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
        help: ArgumentHelp("The queue of the firewall rules.", valueName: "number"), transform: QueueNumber.parse)
    var queueNumber: UInt16 = 100

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

    func run() throws {
        try reportingErrors(of: "tcpknock-server") { () throws(FatalError) in
            let logger = common.logger("tcpknock-server")
            let keys = try common.readKeys()
            let runner = try DaemonRunner(logger: logger)

            var configuration = ServerEngine.Configuration()
            configuration.targetPorts = common.effectiveTargetPorts
            configuration.lockoutSeconds = lockoutSeconds
            configuration.usesTime = !common.noTime
            configuration.reportsDrops = common.logLevel == .debug

            let loop = PacketLoop(
                queue: try common.bindQueue(queueNumber, Queue.Options()),
                engine: ServerEngine(keys: keys, configuration: configuration), markBit: mark, clock: SystemClock.now)
            let closer = ConnectionCloser(ports: configuration.targetPorts, logger: logger)
            try runner.run(loop, common.details(queue: queueNumber, keys: keys)) { event in
                if case .lockedOut(let flow, _) = event { closer.closeConnections(from: flow.clientAddress) }
            }
        }
    }
}
