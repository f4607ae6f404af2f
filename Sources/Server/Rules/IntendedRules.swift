// SPDX-License-Identifier: GPL-2.0-or-later
internal import Control
internal import Settings

/// The rules that a configuration asks for.
struct IntendedRules: Equatable {
    var ports: [UInt16]
    var protect: Set<Place> = [.own]
    var exempt: Set<Place> = []
    /// The flags for `server.sh up`.
    var flags: [String] = []

    init(ports: [UInt16], protect: Set<Place> = [.own], exempt: Set<Place> = []) {
        (self.ports, self.protect, self.exempt) = (ports, protect, exempt)
    }

    init(_ settings: ServerSettings) {
        self.init(ports: settings.targetPorts, protect: Set(settings.protect), exempt: Set(settings.exempt))
        flags = settings.firewallFlags
    }

    /// Returns the faults of the ports' rules.
    ///
    /// Ports whose rules are right are left out.
    func faults(_ status: FirewallStatus) -> [UInt16: Protection.Fault] {
        let covered = Set(status.protect)
        let isElsewhere =
            !(covered.isEmpty || covered.isSuperset(of: protect)) || !Set(status.exempt).isSubset(of: exempt)
        let bypasses = status.foreign.filter { $0.effect == .bypass }
        var faults: [UInt16: Protection.Fault] = [:]
        for port in ports {
            if !status.completePorts.contains(port) {
                faults[port] = status.ports.contains(port) ? .incomplete : .missing
            } else if bypasses.contains(where: { $0.port == port }), let first = bypasses.first {
                faults[port] = .bypassed(first.rule, yields: bypasses.allSatisfy(\.yields))
            } else if isElsewhere {
                faults[port] = .elsewhere
            }
        }
        return faults
    }
}
