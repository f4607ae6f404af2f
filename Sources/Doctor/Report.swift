// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
internal import Program

/// The findings on a host, for people and for programs.
package struct Report {
    /// The findings for one installation.
    package struct Part {
        /// The intended values of the installation.
        package let subject: DoctorSubject
        /// The findings, in the order of the checks.
        package let findings: [Finding]

        package init(subject: DoctorSubject, findings: [Finding]) {
            self.subject = subject
            self.findings = findings
        }
    }

    /// One part for each installation.
    package let parts: [Part]

    package init(_ parts: [Part]) {
        self.parts = parts
    }

    /// The number of findings of this severity.
    package func count(_ severity: Severity) -> Int {
        parts.reduce(0) { $0 + $1.findings.count { $0.severity == severity } }
    }

    /// The report as text: one line for each finding, with its cure indented below.
    package var text: String {
        let width = parts.flatMap(\.findings).map(\.check.count).max() ?? 0
        var text = ""
        for part in parts {
            text += "\(part.subject.description)\n"
            for finding in part.findings {
                text +=
                    "  \(Self.label(finding.severity).padded(to: 7))  \(finding.check.padded(to: width))  \(finding.found)\n"
                if let cure = finding.cure {
                    text += String(repeating: " ", count: width + 13) + "-> \(cure)\n"
                }
            }
        }
        return text + summary + "\n"
    }

    private var summary: String {
        let counts = [(Severity.error, "error"), (.warning, "warning"), (.note, "note")].map { severity, word in
            let count = count(severity)
            return "\(count) \(word)\(count == 1 ? "" : "s")"
        }
        return counts.joined(separator: ", ")
    }

    private static func label(_ severity: Severity) -> String {
        severity >= .warning ? severity.rawValue.uppercased() : severity.rawValue
    }

    /// The report as a JSON object (RFC 8259).
    package var json: String {
        JSONValue.object([
            "version": .string(version), "errors": .integer(count(.error)), "warnings": .integer(count(.warning)),
            "notes": .integer(count(.note)), "examined": .array(parts.map(\.json)),
        ]).indentedText + "\n"
    }
}

extension Report.Part {
    fileprivate var json: JSONValue {
        .object([
            "role": .string(subject.role.rawValue), "instance": .string(subject.installation.instance ?? ""),
            "queue": .string(subject.queueText), "ports": .array(subject.targetPorts.map { .integer(Int($0)) }),
            "mark": .string(subject.markText), "key_files": .array(subject.keyFiles.map { .string($0.path) }),
            "values_from": .string(subject.origin), "findings": .array(findings.map(\.json)),
        ])
    }
}

extension Finding {
    fileprivate var json: JSONValue {
        let cure = cure.map { [JSONValue.Member("cure", .string($0))] } ?? []
        return .object(
            [
                JSONValue.Member("check", .string(check)), JSONValue.Member("severity", .string(severity.rawValue)),
                JSONValue.Member("found", .string(found)),
            ] + cure)
    }
}

extension String {
    /// Pads the text with spaces to at least this many characters.
    fileprivate func padded(to count: Int) -> String {
        self + String(repeating: " ", count: max(0, count - self.count))
    }
}
