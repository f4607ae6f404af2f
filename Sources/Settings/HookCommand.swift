// SPDX-License-Identifier: GPL-2.0-or-later

/// A command, configured by the host's administrator, that is run on an event.
package struct HookCommand: Hashable, Sendable {
    /// The program and its arguments; never empty.
    ///
    /// The program is a path or a name to look up in PATH.
    package let arguments: [String]

    /// A command for each event, in TOML, to show in a sample configuration.
    static let examples = (
        admit: "[\"/usr/local/bin/greet\"]", close: "[\"/usr/local/bin/part\"]", lockout: "[\"/usr/local/bin/alert\"]"
    )

    /// Creates a command from a program and its arguments; nil if there is no program.
    package init?(arguments: [String]) {
        guard let program = arguments.first, !program.isEmpty else { return nil }
        self.arguments = arguments
    }

    /// Creates a command that `/bin/sh -c` runs; nil if the text is blank.
    package init?(shell text: String) {
        guard text.contains(where: { $0 != " " && $0 != "\t" && !$0.isNewline }) else { return nil }
        arguments = ["/bin/sh", "-c", text]
    }
}
