// SPDX-License-Identifier: GPL-2.0-or-later

/// Whether each port that a server is to protect has its firewall rules.
package struct Protection: Equatable, Sendable {
    /// What is wrong with the rules of a port.
    package enum Fault: Equatable, Sendable {
        /// There are none.
        case missing
        /// Some are missing, or were changed.
        case incomplete
        /// They leave out a place that is to be protected, or exempt one that is not to be exempt.
        case elsewhere
        /// This rule of another program leads past them; whether it does not where ours come first again.
        case bypassed(String, yields: Bool)

        /// What it is, of one port or of several.
        fileprivate func text(_ ports: [UInt16]) -> String {
            switch self {
            case .missing: "there are no rules for \(ports.count == 1 ? "it" : "them")"
            case .incomplete: "some rules are missing or were changed"
            case .elsewhere: "the rules have another 'protect' or 'exempt'"
            case .bypassed(let rule, _): "a rule of another program leads past the knock (\(rule))"
            }
        }

        /// Whether nobody gets in all the same, where the gate of the kernel filter is closed: it passes only what our
        /// rules have verified.
        fileprivate var isStoppedByGate: Bool {
            switch self {
            case .missing: true
            // One that marks connections verifies them for the gate, too.
            case .bypassed(let rule, _): !rule.contains("MARK ")
            case .incomplete, .elsewhere: false
            }
        }

        /// Whether putting rules in mends it.
        fileprivate var isMendedByRules: Bool { if case .bypassed(_, yields: false) = self { false } else { true } }
    }

    /// What is known.
    package enum Knowledge: Equatable, Sendable {
        /// What is wrong, by ports, and what puts it right; no port, if nothing is.
        case looked([UInt16: Fault], cure: String)
        /// Nothing, and why.
        case unknown(String)
    }

    /// The ports that are to be protected.
    package let ports: [UInt16]
    /// What is known of their rules.
    package let knowledge: Knowledge
    /// The ports into which the kernel filter lets nobody who is not verified, whatever the rules are.
    package var gate: Set<UInt16>

    /// Joins the ports and what is known of them.
    package init(ports: [UInt16], knowledge: Knowledge, gate: Set<UInt16> = []) {
        self.ports = ports
        self.knowledge = knowledge
        self.gate = gate
    }

    /// The ports without all of their rules, or past which others lead, in order; nil if it is not known.
    package var unprotectedPorts: [UInt16]? {
        guard case .looked(let faults, _) = knowledge else { return nil }
        return faults.keys.sorted()
    }

    /// Those of them into which nobody gets all the same, with the knock neither; nil if it is not known.
    package var closedPorts: [UInt16]? {
        guard case .looked(let faults, _) = knowledge else { return nil }
        return faults.filter { gate.contains($0.key) && $0.value.isStoppedByGate }.keys.sorted()
    }

    /// Whether all of them have their rules; nil if it is not known.
    package var isProtected: Bool? { unprotectedPorts.map(\.isEmpty) }

    /// One line for people, which begins with `PROTECTED`, `NOT PROTECTED`, `CLOSED` or `NOT KNOWN`.
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
