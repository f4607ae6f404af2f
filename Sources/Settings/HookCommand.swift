// SPDX-License-Identifier: GPL-2.0-or-later

/// A command of the host's administrator that is run when something happens.
package struct HookCommand: Hashable, Sendable {
    /// The program, as a path or as a name that is looked for in PATH, and its arguments; never empty.
    package let arguments: [String]

    /// Takes a program and its arguments as they are; nil if there is no program.
    package init?(arguments: [String]) {
        guard let program = arguments.first, !program.isEmpty else { return nil }
        self.arguments = arguments
    }

    /// Takes a text for `/bin/sh -c`; nil if it is blank.
    package init?(shell text: String) {
        guard text.contains(where: { $0 != " " && $0 != "\t" && !$0.isNewline }) else { return nil }
        arguments = ["/bin/sh", "-c", text]
    }
}
