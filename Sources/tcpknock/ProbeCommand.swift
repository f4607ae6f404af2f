// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Capture
import Control
import Diagnosis
import JSONText
import KnockProtocol
import Linux
internal import Netfilter
import Program
import Settings
import SystemPackage
import Wire

struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Tries a handshake with a protected server stage by stage and says what is wrong.",
        discussion: """
            Run it on the client's host, as root, with the daemon and the rules in place. It opens an ordinary \
            connection and watches it on the interface. If that fails, it sends SYNs of its own, a few a second for up \
            to half a minute: with codes bound to other addresses, codes of other minutes, and some with a low \
            TTL. It answers SYN/ACKs only with a RST, so the server locks nobody out for it; only a \
            server that counts wrong codes may (see --no-experiments).

            Exit status: 0 the knock works, 1 a stage failed, 64 to 78 the probe could not be made.
            """)

    @Option(
        help: ArgumentHelp(
            "The configuration of the client's daemon; an empty one for none. (default: \(ClientSettings.defaultFile), "
                + "if it is there)", valueName: "path"))
    var config: String?

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")],
        help: ArgumentHelp(
            "The key file that both hosts share. (default: as the configuration says, else \(SharedSettings.defaultKeyFile))",
            valueName: "path"))
    var keyFile: String?

    @Option(
        name: [.customLong("nat-ip"), .customLong("nat_ip")], parsing: .singleValue,
        help: ArgumentHelp(
            "As the client's daemon has it: the address that servers see, once for each family, or auto.",
            valueName: "address"),
        transform: {
            _ = try ValueKind.nat.argument($0)
            return $0
        })
    var nat: [String] = []

    @Option(
        name: [.customLong("isn-mask"), .customLong("isn_mask")],
        help: ArgumentHelp("As the client's daemon has it: auto, full or windowed. (default: auto)", valueName: "mask"))
    var mask: MaskChoice?

    @Flag(name: [.customLong("no-time"), .customLong("no_time")], help: "As the client's daemon has it.")
    var noTime = false

    @Flag(name: [.customLong("no-hint"), .customLong("no_hint")], help: "As the client's daemon has it.")
    var noHint = false

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp(
            "The queue of the client's daemon. (default: \(ClientSettings().queue))", valueName: "number"),
        transform: ValueKind.queue.argument)
    var queue: UInt16?

    @Option(
        name: [.customLong("try-address"), .customLong("try_address")], parsing: .singleValue,
        help: ArgumentHelp(
            "An address that the server may see instead, to be tried if there is no answer; may be given again.",
            valueName: "address"),
        transform: ValueKind.address.argument)
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

    @Argument(help: "The protected port.", transform: ValueKind.port.argument)
    var port: UInt16

    func validate() throws {
        guard (0.5...60).contains(timeout) else {
            throw ValidationError("--timeout \(timeout): that is a number of seconds from 0.5 to 60")
        }
        guard !(onlyIPv4 && onlyIPv6) else { throw ValidationError("-4 and -6 exclude each other") }
        if !nat.isEmpty { _ = try ValueKind.nat.argument(nat) }
    }

    func run() throws {
        let works = try reportingErrors(of: "tcpknock probe") { () throws(FatalError) in
            let settings = try settings()
            let findings = try Prober.run(
                settings, queueIsHeld: Queue.owner(of: settings.queueNumber) != nil, isSigned: Self.isSigned)
            StandardOutput.write(json ? findings.json.indentedText + "\n" : findings.text)
            return findings.works
        }
        if !works { throw ExitCode(1) }
    }

    /// Whether a socket of this host signs its segments to that server: one that connects there, or one that listens
    /// for that host, as those of BGP do.
    private static func isSigned(_ server: IPAddress, _ port: UInt16) -> Bool {
        ((try? SignedSocket.all()) ?? []).contains { socket in
            (socket.remotePort == port || socket.isListening && socket.localPort == port)
                && socket.peers.contains { $0.contains(server) }
        }
    }

    private func settings() throws(FatalError) -> ProbeSettings {
        let family: IPFamily? = onlyIPv4 ? .ipv4 : onlyIPv6 ? .ipv6 : nil
        var configuration = try configuration(family)
        // validate() has refused flags that cannot be combined.
        if !nat.isEmpty, let given = try? ValueKind.nat.argument(nat) { configuration.nat = given }
        configuration.mask = mask ?? configuration.mask
        configuration.noTime = noTime || configuration.noTime
        configuration.noHint = noHint || configuration.noHint
        configuration.queue = queue ?? configuration.queue

        let path = configuration.keyFile
        let key = NamedKey(name: "\(path)", keys: try KeySchedule.read(path))
        var settings = ProbeSettings(
            host: host, port: port, key: key, queueNumber: configuration.queue,
            scripts: FirewallScript.place.string)
        configuration.apply(to: &settings)
        settings.tryAddresses = tryAddresses
        settings.family = family
        settings.interface = interface
        settings.timeout = timeout
        settings.experiments = !noExperiments
        return settings
    }

    private func configuration(_ family: IPFamily?) throws(FatalError) -> ProbeConfiguration {
        let settings = try EffectiveSettings<ClientSettings>(file: config).settings
        let address = try Route(to: host, family: family, interface: interface).remote
        return try ProbeConfiguration(
            settings, host: host, address: address, port: port, keyFile: keyFile.map { FilePath($0) })
    }
}
