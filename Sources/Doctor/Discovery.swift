// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import Settings
internal import SystemPackage

/// Finds out what a host is meant to be.
package struct Discovery {
    private let firewall: Firewall
    private let processes: Processes
    private let host: Host

    /// Takes what was read of a host, and the host.
    package init(_ firewall: Firewall, _ processes: Processes, _ host: Host) {
        self.firewall = firewall
        self.processes = processes
        self.host = host
    }

    /// What is here: whose daemon runs, that has rules, or that a usual configuration declares.
    ///
    /// A server by a name also is here if its control socket is, as for `tcpknock status`.
    package var installations: [Installation] {
        let servers = instances.map { Installation(.server, instance: $0) }
        return [Installation(.server)].filter(isHere) + servers + [Installation(.client)].filter(isHere)
    }

    /// The servers that are here, or the one without a name if there is none; else the client.
    ///
    /// - Parameter role: Which of them to examine, whether it is here or not.
    /// - Returns: At least one.
    package func installations(of role: Role) -> [Installation] {
        let found = installations.filter { $0.role == role }
        return found.isEmpty ? [Installation(role)] : found
    }

    private func isHere(_ installation: Installation) -> Bool {
        !processes.daemons(of: installation).isEmpty || firewall.sets.contains { $0.hasRules(of: installation) }
            || isDeclared(installation)
    }

    /// Whether there is the usual configuration, though this user may not look at it.
    private func isDeclared(_ installation: Installation) -> Bool {
        if case .failure(.noSuchFileOrDirectory) = host.status(installation.usualFile) { return false }
        return true
    }

    /// The names of all servers that have one, in order.
    private var instances: [String] {
        let files = host.list(ServerSettings.defaultFile.removingLastComponent().string).compactMap {
            Installation.instance(ofFile: $0, ".toml")
        }
        let sockets = ServerSettings().controlSocket.map { host.list($0.removingLastComponent().string) } ?? []
        let found = firewall.instances.union(processes.daemons.compactMap(\.installation.instance)).union(files)
            .union(sockets.compactMap { Installation.instance(ofFile: $0, ".sock") })
        return found.sorted()
    }

    /// What an installation is meant to be, going by the command line of its daemon and its configuration, else by a
    /// configuration, else by the rules, else by the defaults.
    ///
    /// - Parameters:
    ///   - installation: Which.
    ///   - configuration: A configuration that was named; nil for the usual one if it is there.
    /// - Returns: What is meant to be.
    package func subject(_ installation: Installation, configuration: String? = nil) -> DoctorSubject {
        let daemons = processes.daemons(of: installation)
        let named = configuration.map { ["--config", $0] } ?? []
        if daemons.count == 1, let daemon = daemons.first, !daemon.arguments.isEmpty {
            return DoctorSubject(
                installation, arguments: daemon.flags + named, origin: "the command line of process \(daemon.number)")
        }
        let subject = DoctorSubject(installation, arguments: installation.flags + named, origin: "the defaults")
        return subject.configuration == nil && subject.configurationError == nil ? adjusted(subject) : subject
    }

    /// Takes from the rules what no configuration says.
    private func adjusted(_ subject: DoctorSubject) -> DoctorSubject {
        let notes = firewall.notes(of: subject.installation)
        guard !notes.isEmpty else { return subject }
        var subject = subject
        subject.origin = "the rules that are up"
        let ports = (notes["target-port"] ?? []).compactMap { try? Port.parse($0) }
        if !ports.isEmpty { subject.targetPorts = ports }
        if let queues = notes["queue-num"]?.first.flatMap({ try? QueueRange.parse($0) }) { subject.queues = queues }
        if let mark = notes["mark"]?.first.flatMap({ try? MarkBit.parse($0) }) { subject.mark = mark }
        subject.answersRefused = notes["on-failure"]?.first == "reset"
        return subject
    }
}
