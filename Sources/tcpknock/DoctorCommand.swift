// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Doctor
import JSONText
internal import Program
internal import Settings
import Wire

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks this host's tcpknock: what is wrong, and what to do about it.",
        discussion: """
            Looks at the kernel, the key file, the daemon, its queue, the firewall rules of both families, other rules \
            that get in the way, connection tracking, the clock, and the service behind the port; and changes nothing. \
            Each check is a line that begins with ok, note, WARNING or ERROR; below it is what to do, after an arrow.

            Without --server and --client it examines what it finds here: daemons, rules, and configurations in \
            /etc/tcpknock, also where nothing of them runs. Values that are not given are those of the \
            daemon that runs and of its configuration, else of the rules that are up, else the defaults. Run it as \
            root: others may not see rules, queues and keys, and it says so.

            Of several servers (--instance) each is examined by itself, whether it has a configuration, a daemon, rules \
            or a control socket.

            The exit status is 1 if there is an ERROR, else 0.
            """)

    @Flag(help: "Examine this host as a server: one with protected ports.")
    var server = false

    @Flag(help: "Examine this host as a client: one that knocks.")
    var client = false

    @Option(
        help: ArgumentHelp("Check this instance of the server.", valueName: "name"),
        transform: ValueKind.instance.argument)
    var instance: String?

    @Option(
        help: ArgumentHelp("The configuration that is meant. (default: the daemon's)", valueName: "path"))
    var config: String?

    @Option(
        name: [.customLong("key-file"), .customLong("key_file")], parsing: .singleValue,
        help: ArgumentHelp("A key file of the daemon; may be given again.", valueName: "path"))
    var keyFiles: [String] = []

    @Option(
        name: [.customLong("queue-num"), .customLong("queue_num")],
        help: ArgumentHelp("The queue that is meant, or FIRST:LAST.", valueName: "number"),
        transform: ValueKind.queues.argument)
    var queues: ClosedRange<UInt16>?

    @Option(
        name: [.customLong("target-port"), .customLong("target_port")], parsing: .singleValue,
        help: ArgumentHelp("A port that is meant; may be given again.", valueName: "port"),
        transform: ValueKind.port.argument)
    var targetPorts: [UInt16] = []

    @Option(
        help: ArgumentHelp("The bit of the mark that is meant.", valueName: "bit"),
        transform: ValueKind.markBit.argument)
    var mark: UInt32?

    @Option(
        name: [.customLong("nat-ip"), .customLong("nat_ip")], parsing: .singleValue,
        help: ArgumentHelp("The client's address as servers see it; once for each family.", valueName: "address"),
        transform: ValueKind.address.argument)
    var natAddresses: [IPAddress] = []

    @Option(
        name: [.customLong("pin-folder"), .customLong("pin_folder")],
        help: ArgumentHelp("Where the server's daemon pins its program for the kernel.", valueName: "path"))
    var pinFolder: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if instance != nil, client { throw ValidationError("--instance is one of several servers, not a client") }
        try refuseFlagsForOne(askedRoles.map { Installation($0) })
    }

    private var askedRoles: [Role] { (server ? [.server] : []) + (client ? [.client] : []) }

    private func refuseFlagsForOne(_ installations: [Installation]) throws {
        guard installations.count > 1, queues != nil || config != nil else { return }
        let flag = queues == nil ? "--config" : "--queue-num"
        throw ValidationError(
            Set(installations.map(\.role)).count > 1
                ? "\(flag) is not the same for server and client, and this host is examined as both; give only one of "
                    + "--server and --client"
                : "\(flag) is not the same for all servers of this host; give --instance NAME")
    }

    private func chosen(_ discovery: Discovery) -> [Installation] {
        if let instance { return [Installation(.server, instance: instance)] }
        return askedRoles.isEmpty ? discovery.installations : askedRoles.flatMap(discovery.installations(of:))
    }

    func run() throws {
        let host = Host.live
        let processes = Processes(host)
        let discovery = Discovery(processes, host)
        let installations = chosen(discovery)
        try refuseFlagsForOne(installations)
        let parts = installations.map { installation in
            let subject = adjusted(discovery.subject(installation, configuration: config))
            let examination = Examination(
                host: host, firewall: discovery.firewall(subject), processes: processes, subject: subject)
            return Report.Part(subject: subject, findings: examination.run())
        }
        let report = Report(parts)
        if parts.isEmpty, !json {
            StandardOutput.write(Self.nothing(discovery))
            return
        }
        StandardOutput.write(json ? report.json : report.text)
        if report.count(.error) > 0 { throw ExitCode(1) }
    }

    /// Replaces discovered values with those given on the command line.
    private func adjusted(_ found: DoctorSubject) -> DoctorSubject {
        var subject = found
        let isGiven = !targetPorts.isEmpty || queues != nil || mark != nil || !keyFiles.isEmpty || !natAddresses.isEmpty
        if isGiven { subject.origin = "the flags given, else \(found.origin)" }
        func give(_ flag: String, _ values: [String]) { subject.given += values.flatMap { [flag, $0] } }
        if !targetPorts.isEmpty {
            subject.targetPorts = targetPorts
            give("--target-port", targetPorts.map(String.init))
        }
        if let queues {
            subject.queues = queues
            give("--queue-num", [subject.queueText])
        }
        if let mark {
            subject.mark = mark
            give("--mark", [subject.markText])
        }
        if !keyFiles.isEmpty {
            subject.keyFiles = keyFiles.map { DoctorSubject.NamedKey(path: $0) }
            give("--key-file", keyFiles)
        }
        if !natAddresses.isEmpty {
            subject.natAddresses = natAddresses
            give("--nat-ip", natAddresses.map(\.description))
        }
        if let pinFolder {
            subject.pinFolder = pinFolder
            give("--pin-folder", [pinFolder])
        }
        // Set even if the file cannot be read.
        if let config { subject.configuration = config }
        return subject
    }

    private static func nothing(_ discovery: Discovery) -> String {
        let blind = discovery.isComplete ? "" : " that this user may see (run this as root)"
        return "there are neither rules nor daemons nor configurations of tcpknock here\(blind); "
            + "'tcpknock doctor --server' or '--client' examines what is missing\n"
    }
}
