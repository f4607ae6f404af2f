// SPDX-License-Identifier: GPL-2.0-or-later

/// A command that runs at an event.
package struct HookCommand: Equatable, Sendable {
    /// The program and its arguments.
    package var arguments: [String]

    /// Takes the program and its arguments, with no shell between.
    package init(arguments: [String]) {
        self.arguments = arguments
    }

    /// Has `/bin/sh -c` run the text.
    package init(shell: String) {
        arguments = ["/bin/sh", "-c", shell]
    }
}
