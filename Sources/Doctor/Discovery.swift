// SPDX-License-Identifier: GPL-2.0-or-later
internal import Daemon
internal import Settings
internal import SystemPackage

/// Finds out what of tcpknock is on a host, for who does not say what is meant to be.
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

    /// The roles whose daemon runs, that have rules, or that the usual configuration declares.
    package var roles: [Role] {
        Role.allCases.filter { role in
            !processes.daemons(of: role).isEmpty || firewall.sets.contains { $0.hasRules(of: role) }
                || isDeclared(role)
        }
    }

    /// Whether there is the usual configuration of a role, though this user may not look at it.
    private func isDeclared(_ role: Role) -> Bool {
        let file = role == .server ? ServerSettings.defaultFile : ClientSettings.defaultFile
        if case .failure(.noSuchFileOrDirectory) = host.status(file.string) { return false }
        return true
    }

    /// What a role is meant to be, going by the command line of its daemon and its configuration, else by a
    /// configuration, else by the rules, else by the defaults.
    ///
    /// - Parameters:
    ///   - role: Server or client.
    ///   - configuration: A configuration that was named; nil for the usual one if it is there.
    /// - Returns: What is meant to be.
    package func subject(_ role: Role, configuration: String? = nil) -> DoctorSubject {
        let daemons = processes.daemons(of: role)
        if daemons.count == 1, let daemon = daemons.first, !daemon.arguments.isEmpty {
            let named = configuration.map { ["--config", $0] } ?? []
            return DoctorSubject(
                role, arguments: daemon.flags + named, origin: "the command line of process \(daemon.number)")
        }
        let flags = configuration.map { ["--config", $0] } ?? []
        let subject = DoctorSubject(role, arguments: flags, origin: "the defaults")
        return subject.configuration == nil && subject.configurationError == nil ? adjusted(subject) : subject
    }

    /// Takes from the rules what no configuration says.
    private func adjusted(_ subject: DoctorSubject) -> DoctorSubject {
        let notes = firewall.notes(of: subject.role)
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
