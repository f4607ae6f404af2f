// SPDX-License-Identifier: GPL-2.0-or-later

/// How bad a finding is; the later, the worse.
package enum Severity: String, CaseIterable, Comparable, Sendable {
    /// As it must be.
    case ok
    /// Good to know, or what could not be looked at.
    case note
    /// Works now, or for some; but should be changed.
    case warning
    /// Does not work, or does not protect.
    case error

    /// Says which is less bad.
    package static func < (left: Severity, right: Severity) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What one check has found.
package struct Finding: Equatable, Sendable {
    /// The name of the check.
    package let check: String
    /// How bad it is.
    package let severity: Severity
    /// What is there: one line, without characters that a terminal would obey.
    package let found: String
    /// What a person types or does about it: one line; nil where there is nothing to do.
    package let cure: String?

    /// Takes what was found; other people's text may be part of it.
    package init(_ check: String, _ severity: Severity, _ found: String, cure: String? = nil) {
        self.check = check
        self.severity = severity
        self.found = Self.printable(found)
        self.cure = cure.map(Self.printable)
    }

    /// The longest text of a finding, in characters.
    private static let longest = 600

    /// Comments of rules and names of files are chosen by others, and may be meant for the terminal of who looks.
    private static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(longest) {
            let isControl =
                scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
                || scalar.properties.generalCategory == .lineSeparator
                || scalar.properties.generalCategory == .paragraphSeparator
            result.append(isControl ? "\u{fffd}" : scalar)
        }
        return String(result)
    }
}
