// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Capture
import Daemon
import Diagnosis
import Glibc
import KnockProtocol
import NetfilterQueue
import Wire

struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Goes through a handshake with a protected server stage by stage and says what is wrong.",
        discussion: """
            Run it on the client's host, as root, with the daemon and the rules in place. It opens an ordinary \
            connection and watches it on the interface. If that fails, it sends SYNs of its own, a few a second for up \
            to half a minute: with codes bound to other addresses, codes of other minutes, and some that die at the \
            routers on the way. It answers SYN/ACKs only with a RST, so the server locks nobody out for it; only a \
            server that counts wrong codes may (see --no-experiments).

            Exit status: 0 the knock works, 1 a stage failed, 64 to 78 the probe could not be made.
            """)

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")],
        help: ArgumentHelp("The key file that both hosts share.", valueName: "path"))
    var keyFile = "/etc/port_protector.dat"

    @Option(
        name: [.customLong("nat-ip"), .customLong("nat_ip")], parsing: .singleValue,
        help: ArgumentHelp(
            "As the client's daemon has it: the address that servers see, once for each family, or auto.",
            valueName: "address"))
    var natAddresses: [String] = []

    @Option(
        name: [.customLong("isn-mask"), .customLong("isn_mask")],
        help: ArgumentHelp("As the client's daemon has it: auto, full or windowed.", valueName: "mask"))
    var mask = MaskChoice.auto

    @Flag(name: [.customLong("no-time"), .customLong("no_time")], help: "As the client's daemon has it.")
    var noTime = false

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp("The queue of the client's daemon.", valueName: "number"), transform: QueueNumber.parse)
    var queueNumber: UInt16 = 200

    @Option(
        name: [.customLong("try-address"), .customLong("try_address")], parsing: .singleValue,
        help: ArgumentHelp(
            "An address that the server may see instead, to be tried if there is no answer; may be given again.",
            valueName: "address"),
        transform: AddressArgument.parse)
    var tryAddresses: [IPAddress] = []

    @Flag(name: .customShort("4"), help: "Only IPv4 addresses of the server's name.")
    var onlyIPv4 = false

    @Flag(name: .customShort("6"), help: "Only IPv6 addresses of the server's name.")
    var onlyIPv6 = false

    @Option(help: "The interface to the server, if it is not the one with the local address.")
    var interface: String?

    @Option(help: ArgumentHelp("How long to wait for an answer, 0.5 to 60.", valueName: "seconds"))
    var timeout = 3.0

    @Flag(
        name: [.customLong("no-experiments"), .customLong("no_experiments")],
        help: "Only the ordinary connection, no SYNs of its own.")
    var noExperiments = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @Argument(help: "The server: a name or an address.")
    var host: String

    @Argument(help: "The protected port.", transform: Port.parse)
    var port: UInt16

    func validate() throws {
        guard (0.5...60).contains(timeout) else {
            throw ValidationError("--timeout \(timeout): that is a number of seconds from 0.5 to 60")
        }
        guard !(onlyIPv4 && onlyIPv6) else { throw ValidationError("-4 and -6 exclude each other") }
        for text in natAddresses where text != "auto" { _ = try AddressArgument.parse(text) }
        let families = natAddresses.compactMap { IPAddress($0)?.family }
        guard Set(families).count == families.count, families.isEmpty || !natAddresses.contains("auto") else {
            throw ValidationError("--nat-ip: give one address for each family, or auto alone")
        }
    }

    func run() throws {
        let works = try reportingErrors(of: "tcpknock probe") { () throws(FatalError) in
            let settings = try settings()
            let findings: ProbeFindings
            do throws(CaptureError) {
                findings = try Prober.run(settings, queueIsHeld: Queue.owner(of: settings.queueNumber) != nil)
            } catch {
                throw FatalError(error)
            }
            StandardOutput.write(json ? findings.json.text() + "\n" : findings.text)
            return findings.works
        }
        if !works { throw ExitCode(1) }
    }

    private func settings() throws(FatalError) -> ProbeSettings {
        guard let key = try readKeys([keyFile]).first else { throw FatalError("no key file", status: EX_USAGE) }
        var settings = ProbeSettings(host: host, port: port, key: key)
        for address in natAddresses.compactMap({ IPAddress($0) }) { settings.natAddresses[address.family] = address }
        settings.isRoaming = natAddresses.contains("auto")
        settings.mode = mask.mode
        settings.usesTime = !noTime
        settings.queueNumber = queueNumber
        settings.tryAddresses = tryAddresses
        settings.family = onlyIPv4 ? .ipv4 : onlyIPv6 ? .ipv6 : nil
        settings.interface = interface
        settings.timeout = timeout
        settings.experiments = !noExperiments
        return settings
    }
}

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
