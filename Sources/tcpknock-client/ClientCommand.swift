// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Daemon
import KnockEngine
import KnockProtocol
import NetfilterQueue
import Wire

/// The values of `--isn-mask`.
enum MaskChoice: String, CaseIterable, ExpressibleByArgument {
    case auto, full, windowed

    var mode: MaskMode? {
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

    @OptionGroup var common: CommonOptions

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp("The queue of the firewall rules.", valueName: "number"), transform: QueueNumber.parse)
    var queueNumber: UInt16 = 200

    @Option(
        name: [.customLong("nat-ip"), .customLong("nat_ip")], parsing: .singleValue,
        help: ArgumentHelp(
            "The address that servers see instead of this host's own; once for each family.", valueName: "address"),
        transform: AddressArgument.parse)
    var natAddresses: [IPAddress] = []

    @Option(
        name: [.customLong("isn-mask"), .customLong("isn_mask")],
        help: ArgumentHelp(
            "How servers mask their ISN: full on a path without stateful boxes, windowed through a NAT or stateful "
                + "firewall; auto is windowed with --nat-ip, else full.", valueName: "mask"))
    var mask = MaskChoice.auto

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Servers that must prove that they hold the key, else their SYN/ACK is dropped; may be given again.",
            valueName: "address-or-prefix"),
        transform: AddressArgument.parsePrefix)
    var server: [IPPrefix] = []

    func validate() throws {
        for family in IPFamily.allCases where natAddresses.filter({ $0.family == family }).count > 1 {
            throw ValidationError(
                "--nat-ip was given twice for IPv\(family.rawValue); give one address for each family")
        }
    }

    func run() throws {
        try reportingErrors(of: "tcpknock-client") { () throws(FatalError) in
            let logger = common.logger("tcpknock-client")
            let keys = try common.readKeys()
            let runner = try DaemonRunner(logger: logger)

            var addresses: [IPFamily: IPAddress] = [:]
            for address in natAddresses { addresses[address.family] = address }
            let everywhere = [
                IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
            ]
            let targets = [(server, true), (everywhere.compactMap(\.self), false)].enumerated().map { number, kind in
                Target(
                    id: KeyID(UInt32(number)), keys: keys, prefixes: kind.0, ports: common.effectiveTargetPorts,
                    binding: .natAddresses(addresses), maskMode: mask.mode, requiresProof: kind.1,
                    usesTime: !common.noTime)
            }

            var options = Queue.Options()
            options.failsOpen = true
            let loop = PacketLoop(
                queue: try common.bindQueue(queueNumber, options),
                engine: ClientEngine(targets: targets, reporting: common.logLevel == .debug ? .drops : []),
                marks: MarkBits(), clock: SystemClock.now)
            let details = common.details(queues: queueNumber...queueNumber, keys: keys)
            try runner.run([try runner.worker(loop)], details) { _ in }
        }
    }
}
