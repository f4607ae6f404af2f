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
    }

    /// What is known.
    package enum Knowledge: Equatable, Sendable {
        /// What is wrong, by ports, and what puts it right; no port, if nothing is.
        case looked([UInt16: Fault], cure: String)
        /// Nothing, and why.
        case unknown(String)
    }

    /// The ports that are to be protected.
    let ports: [UInt16]
    /// What is known of their rules.
    let knowledge: Knowledge

    /// The ports without all of their rules, in order; nil if it is not known.
    package var unprotectedPorts: [UInt16]? {
        guard case .looked(let faults, _) = knowledge else { return nil }
        return faults.keys.sorted()
    }

    /// Whether all of them have their rules; nil if it is not known.
    package var isProtected: Bool? { unprotectedPorts.map(\.isEmpty) }

    /// One line for people, which begins with `PROTECTED`, `NOT PROTECTED` or `NOT KNOWN`.
    package var line: String {
        switch knowledge {
        case .unknown(let reason):
            return "NOT KNOWN whether protected: \(reason)"
        case .looked(let faults, let cure):
            if faults.isEmpty { return "PROTECTED: \(Self.text(ports))" }
            let missing = faults.filter { $0.value == .missing }.keys.sorted()
            let incomplete = faults.filter { $0.value == .incomplete }.keys.sorted()
            let elsewhere = faults.filter { $0.value == .elsewhere }.keys.sorted()
            var parts: [String] = []
            if !missing.isEmpty {
                parts.append("\(Self.text(missing)): there are no rules for \(missing.count == 1 ? "it" : "them")")
            }
            if !incomplete.isEmpty {
                parts.append("\(Self.text(incomplete)): some rules are missing or were changed")
            }
            if !elsewhere.isEmpty {
                parts.append("\(Self.text(elsewhere)): the rules have another 'protect' or 'exempt'")
            }
            return "NOT PROTECTED: \(parts.joined(separator: "; ")); run \(cure)"
        }
    }

    private static func text(_ ports: [UInt16]) -> String {
        "port\(ports.count == 1 ? "" : "s") \(ports.map(String.init).joined(separator: ", "))"
    }
}
