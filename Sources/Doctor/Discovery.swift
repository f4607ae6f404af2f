// SPDX-License-Identifier: GPL-2.0-or-later
internal import Daemon

/// Finds out what of tcpknock is on a host, for who does not say what is meant to be.
package struct Discovery {
    private let firewall: Firewall
    private let processes: Processes

    /// Takes what was read of a host.
    package init(_ firewall: Firewall, _ processes: Processes) {
        self.firewall = firewall
        self.processes = processes
    }

    /// The roles whose daemon runs, or that have rules.
    package var roles: [Role] {
        Role.allCases.filter { role in
            !processes.daemons(of: role).isEmpty || firewall.sets.contains { $0.hasRules(of: role) }
        }
    }

    /// What a role is meant to be, going by the command line of its daemon, else by its rules, else by the defaults.
    package func subject(_ role: Role) -> DoctorSubject {
        let daemons = processes.daemons(of: role)
        if daemons.count == 1, let daemon = daemons.first, !daemon.arguments.isEmpty { return subject(daemon) }
        var subject = DoctorSubject(role)
        let notes = firewall.notes(of: role)
        guard !notes.isEmpty else { return subject }
        subject.origin = "the rules that are up"
        let ports = (notes["target-port"] ?? []).compactMap { try? Port.parse($0) }
        if !ports.isEmpty { subject.targetPorts = ports }
        if let queues = notes["queue-num"]?.first.flatMap({ try? QueueRange.parse($0) }) { subject.queues = queues }
        if let mark = notes["mark"]?.first.flatMap({ try? MarkBit.parse($0) }) { subject.mark = mark }
        return subject
    }

    private func subject(_ daemon: DaemonProcess) -> DoctorSubject {
        var subject = DoctorSubject(daemon.role)
        subject.origin = "the command line of process \(daemon.number)"
        let ports = daemon.values(of: "--target-port").compactMap { try? Port.parse($0) }
        if !ports.isEmpty { subject.targetPorts = ports }
        if let queues = daemon.values(of: "--queue-num").last.flatMap({ try? QueueRange.parse($0) }) {
            subject.queues = queues
        }
        if let mark = daemon.values(of: "--mark").last.flatMap({ try? MarkBit.parse($0) }) { subject.mark = mark }
        if let key = daemon.values(of: "--key-file").last {
            subject.keyFiles = [DoctorSubject.NamedKey(path: daemon.path(key))]
        }
        if let folder = daemon.values(of: "--pin-folder").last { subject.pinFolder = daemon.path(folder) }
        subject.natAddresses = daemon.values(of: "--nat-ip").compactMap { try? AddressArgument.parse($0) }
        subject.isRoaming = daemon.values(of: "--nat-ip").contains("auto")
        subject.usesTime = !daemon.has(flag: "--no-time")
        return subject
    }
}
