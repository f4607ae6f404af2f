// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Program
internal import Settings
internal import SystemPackage

/// A search for the tcpknock installations of a host and their intended values.
package struct Discovery {
    private let processes: Processes
    private let host: Host
    private let firewalls: Firewalls

    package init(_ processes: Processes, _ host: Host) {
        self.processes = processes
        self.host = host
        firewalls = Firewalls(host)
    }

    /// Whether all rules that were looked at could be.
    package var isComplete: Bool { firewalls.known.values.allSatisfy(\.unread.isEmpty) }

    /// What the script says of the rules of an installation, and of those of others that get in the way of it.
    package func firewall(_ subject: DoctorSubject) -> Firewall {
        let firewall = firewalls[subject.installation]
        return firewall.status.map(subject.hasValues) ?? true
            ? firewall : Firewall(host, subject.installation, for: subject)
    }

    /// The installations on this host: those whose daemon runs, that have rules, or that a usual configuration file
    /// declares.
    ///
    /// A named server is also included if its control socket exists, as for `tcpknock status`.
    package var installations: [Installation] {
        let servers = instances.map { Installation(.server, instance: $0) }
        return [Installation(.server)].filter(isHere) + servers + [Installation(.client)].filter(isHere)
    }

    /// The installations of a role on this host; if there are none, the one without a name.
    ///
    /// - Parameter role: The role to examine, whether it is installed or not.
    /// - Returns: At least one installation.
    package func installations(of role: Role) -> [Installation] {
        let found = installations.filter { $0.role == role }
        return found.isEmpty ? [Installation(role)] : found
    }

    private func isHere(_ installation: Installation) -> Bool {
        !processes.daemons(of: installation).isEmpty || firewalls[installation].hasRules
            || isDeclared(installation)
    }

    /// Whether the usual configuration file exists, or may exist because this user cannot look.
    private func isDeclared(_ installation: Installation) -> Bool {
        if case .failure(.noSuchFileOrDirectory) = host.status(installation.usualFile) { return false }
        return true
    }

    /// The names of all named servers, sorted.
    private var instances: [String] {
        let files = host.list(ServerSettings.defaultFile.removingLastComponent().string).compactMap {
            Installation.instance(ofFile: $0, ".toml")
        }
        let sockets = ServerSettings().controlSocket.map { host.list($0.removingLastComponent().string) } ?? []
        let withRules = firewalls[Installation(.server)].status?.instances ?? []
        let found = Set(withRules).union(processes.daemons.compactMap(\.installation.instance)).union(files)
            .union(sockets.compactMap { Installation.instance(ofFile: $0, ".sock") })
        return found.sorted()
    }

    /// The intended values of an installation: from its daemon's command line and its configuration, else from a
    /// configuration, else from the rules, else the defaults.
    ///
    /// - Parameters:
    ///   - installation: The installation.
    ///   - configuration: The path of a configuration; nil for the usual one, if it exists.
    /// - Returns: The values that the checks compare with.
    package func subject(_ installation: Installation, configuration: String? = nil) -> DoctorSubject {
        var subject = values(installation, configuration)
        if let scripts = host.scripts { subject.scripts = scripts }
        return subject
    }

    private func values(_ installation: Installation, _ configuration: String?) -> DoctorSubject {
        let daemons = processes.daemons(of: installation)
        let named = configuration.map { ["--config", $0] } ?? []
        if daemons.count == 1, let daemon = daemons.first, !daemon.arguments.isEmpty {
            return DoctorSubject(
                installation, arguments: daemon.flags + named, origin: "the command line of process \(daemon.number)")
        }
        let subject = DoctorSubject(installation, arguments: installation.flags + named, origin: "the defaults")
        return subject.configuration == nil && subject.configurationError == nil ? adjusted(subject) : subject
    }

    /// Takes values from the rules where no configuration gives them.
    private func adjusted(_ subject: DoctorSubject) -> DoctorSubject {
        guard let status = firewalls[subject.installation].status, status.state != .down else { return subject }
        var subject = subject
        subject.origin = "the rules that are up"
        if !status.ports.isEmpty { subject.targetPorts = status.ports }
        if let queues = try? ValueKind.queues.parse(status.queue) { subject.queues = queues }
        if let mark = try? ValueKind.markBit.parse(status.mark) { subject.mark = mark }
        if !status.protect.isEmpty { (subject.protect, subject.exempt) = (status.protect, status.exempt) }
        subject.answersRefused = status.onFailure == "reset"
        return subject
    }
}

/// What the scripts say of the rules of installations, each asked once.
private final class Firewalls {
    private let host: Host
    private(set) var known: [Installation: Firewall] = [:]

    init(_ host: Host) { self.host = host }

    subscript(_ installation: Installation) -> Firewall {
        if let firewall = known[installation] { return firewall }
        let firewall = Firewall(host, installation)
        known[installation] = firewall
        return firewall
    }
}
