// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import Glibc
import KnockEngine
import KnockProtocol
import NetfilterQueue
import Settings
import Wire

extension MaskChoice {
    fileprivate var mode: MaskMode? {
        switch self {
        case .auto: nil
        case .full: .full
        case .windowed: .windowed
        }
    }
}

@main
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcpknock-client",
        abstract: "Lets unmodified programs on this host reach ports that tcpknock-server protects.",
        discussion: """
            Changes what firewall/client.sh queues: adds the code to outgoing SYNs for the target ports, and unmasks \
            the ISN of SYN/ACKs whose server has proven that it holds the key. Connections to other servers on the \
            same ports go on as before.

            Says 'ready' on standard output when the queue is bound; logs to standard error. SIGUSR1 logs the counters.
            """,
        version: version)

    @OptionGroup var flags: ClientFlags

    func run() throws {
        try reportingErrors(of: "tcpknock-client") { () throws(FatalError) in
            guard try !flags.answer(as: "tcpknock-client") else { return }
            let effective = try flags.effectiveSettings()
            let settings = effective.settings
            let logger = settings.logger("tcpknock-client")
            effective.logWarnings(to: logger)
            try refuseWhatIsNotDoneYet(settings)
            let keys = try KeySchedule.read(settings.sharedKeyFile ?? defaultKeyFile)
            let runner = try DaemonRunner(logger: logger)

            var addresses: [IPFamily: IPAddress] = [:]
            if case .addresses(let given) = settings.nat { addresses = given }
            let everywhere = [
                IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
            ]
            let kinds = [(settings.servers, true), (everywhere.compactMap(\.self), false)]
            let targets = kinds.enumerated().map { number, kind in
                Target(
                    id: KeyID(UInt32(number)), keys: keys, prefixes: kind.0, ports: settings.targetPorts,
                    binding: .natAddresses(addresses), maskMode: settings.mask.mode, requiresProof: kind.1,
                    usesTime: !settings.noTime)
            }

            var options = Queue.Options()
            options.failsOpen = true
            let loop = PacketLoop(
                queue: try Queue.bind(settings.queue, options),
                engine: ClientEngine(targets: targets, reporting: settings.logLevel == .debug ? .drops : []),
                marks: MarkBits(), clock: SystemClock.now)
            let details = settings.details(queues: settings.queue...settings.queue, keys: keys)
            try runner.run([try runner.worker(loop)], details) { _ in }
        }
    }

    /// A setting that would be without effect ends the daemon instead.
    private func refuseWhatIsNotDoneYet(_ settings: ClientSettings) throws(FatalError) {
        let refused = [
            ("target", !settings.targets.isEmpty), ("nat_ip = \"auto\"", settings.nat == .automatic),
            ("metrics_file", settings.metricsFile != nil), ("log_target", settings.logTarget != .stderr),
        ]
        for (key, isGiven) in refused where isGiven {
            throw FatalError("\(key): this version cannot do that yet", status: EX_CONFIG)
        }
    }
}
