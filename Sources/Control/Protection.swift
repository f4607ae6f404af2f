// SPDX-License-Identifier: GPL-2.0-or-later

/// The state of the firewall rules of the ports that a server should protect.
package struct Protection: Equatable, Sendable {
    /// A fault of a port's rules.
    package enum Fault: Equatable, Sendable {
        /// The port has no rules.
        case missing
        /// Some are missing, or were changed.
        case incomplete
        /// The rules leave out a place that should be protected, or exempt one that should not be exempt.
        case elsewhere
        /// This rule of another program lets connections bypass ours; `yields` is whether it no longer does if ours
        /// come first.
        case bypassed(String, yields: Bool)

        /// Describes the fault of these ports.
        fileprivate func text(_ ports: [UInt16]) -> String {
            switch self {
            case .missing: "there are no rules for \(ports.count == 1 ? "it" : "them")"
            case .incomplete: "some rules are missing or were changed"
            case .elsewhere: "the rules have another 'protect' or 'exempt'"
            case .bypassed(let rule, _): "a rule of another program leads past the knock (\(rule))"
            }
        }

        /// Whether nobody gets in although the rules have this fault, if the kernel filter's gate is closed: the gate
        /// passes only what our rules have verified.
        fileprivate var isStoppedByGate: Bool {
            switch self {
            case .missing: true
            // A rule that marks connections also makes them count as verified for the gate.
            case .bypassed(let rule, _): !rule.contains("MARK ") && !rule.contains(" mark set ")
            case .incomplete, .elsewhere: false
            }
        }

        /// Whether installing our rules again fixes the fault.
        fileprivate var isMendedByRules: Bool { if case .bypassed(_, yields: false) = self { false } else { true } }
    }

    /// What is known about the rules.
    package enum Knowledge: Equatable, Sendable {
        /// The faults by port, empty if there are none, and the command that fixes them.
        case looked([UInt16: Fault], cure: String)
        /// Nothing is known, for this reason.
        case unknown(String)
    }

    /// The ports that should be protected.
    package let ports: [UInt16]
    /// What is known about their rules.
    package let knowledge: Knowledge
    /// The ports that the kernel filter closes to everybody who is not verified, whatever the rules are.
    package var gate: Set<UInt16>

    package init(ports: [UInt16], knowledge: Knowledge, gate: Set<UInt16> = []) {
        self.ports = ports
        self.knowledge = knowledge
        self.gate = gate
    }

    /// The ports with incomplete or bypassed rules, in order; nil if the state is unknown.
    package var unprotectedPorts: [UInt16]? {
        guard case .looked(let faults, _) = knowledge else { return nil }
        return faults.keys.sorted()
    }

    /// The unprotected ports that the kernel filter closes to everybody, even after a knock; nil if unknown.
    package var closedPorts: [UInt16]? {
        guard case .looked(let faults, _) = knowledge else { return nil }
        return faults.filter { gate.contains($0.key) && $0.value.isStoppedByGate }.keys.sorted()
    }

    /// Whether all ports are protected; nil if the state is unknown.
    package var isProtected: Bool? { unprotectedPorts.map(\.isEmpty) }

    /// A line for display that begins with `PROTECTED`, `NOT PROTECTED`, `CLOSED` or `NOT KNOWN`.
    package var line: String {
        switch knowledge {
        case .unknown(let reason):
            return "NOT KNOWN whether protected: \(reason)"
        case .looked(let faults, let cure):
            if faults.isEmpty { return "PROTECTED: \(Self.text(ports))" }
            let closed = closedPorts ?? []
            var parts: [String] = []
            var rest = faults.keys.sorted()
            while let first = rest.first, let fault = faults[first] {
                let same = rest.filter { faults[$0] == fault }
                rest.removeAll(where: same.contains)
                parts.append("\(Self.text(same)): \(fault.text(same))")
            }
            let isClosed = closed.count == faults.count
            if !closed.isEmpty {
                parts.append("the kernel filter lets nobody in\(isClosed ? "" : " to \(Self.text(closed))")")
            }
            if faults.values.contains(where: \.isMendedByRules) { parts.append("run \(cure)") }
            if !faults.values.allSatisfy(\.isMendedByRules) {
                parts.append("'tcpknock doctor' says how to take that rule out")
            }
            return "\(isClosed ? "CLOSED" : "NOT PROTECTED"): \(parts.joined(separator: "; "))"
        }
    }

    private static func text(_ ports: [UInt16]) -> String {
        "port\(ports.count == 1 ? "" : "s") \(ports.map(String.init).joined(separator: ", "))"
    }
}
