// SPDX-License-Identifier: GPL-2.0-or-later

/// One result of a check.
package struct Finding: Equatable, Sendable {
    /// The name of the check.
    package let check: String
    /// How bad the finding is.
    package let severity: Severity
    /// What was found: one line, without control characters that a terminal would interpret.
    package let found: String
    /// What a person types or does about it, in one line; nil if there is nothing to do.
    package let cure: String?

    /// Makes a finding and cleans its texts, which may contain text of other people.
    package init(_ check: String, _ severity: Severity, _ found: String, cure: String? = nil) {
        self.check = check
        self.severity = severity
        self.found = Self.printable(found)
        self.cure = cure.map(Self.printable)
    }

    /// The longest text of a finding, in characters.
    private static let longest = 600

    /// Replaces control characters.
    ///
    /// Others choose the comments of rules and the names of files, and may aim them at the terminal of whoever runs the
    /// doctor.
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
