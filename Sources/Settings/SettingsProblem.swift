// SPDX-License-Identifier: GPL-2.0-or-later
package import Linux
package import SystemPackage

/// An error or a warning about a configuration file.
package struct SettingsProblem: Equatable, Sendable {
    /// The position; nil if it is unknown.
    package let position: TextPosition?
    /// The key concerned, such as `guest.ports`; nil for syntax errors.
    package let key: String?
    /// The message: what is wrong and what to do.
    package let text: String

    /// Returns the problem as one of a file, at `FILE:LINE:COLUMN` in the manner of compilers.
    package func report(in file: FilePath) -> FatalError {
        FatalError(
            text, at: position.map { "\(file):\($0.line):\($0.column)" } ?? "\(file)", status: .configuration)
    }
}
