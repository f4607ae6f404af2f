// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// The result of running a program.
package enum ToolRun: Equatable {
    /// The program ended: its exit status, what it wrote, and whether the output is complete.
    case ended(status: Int32, output: String, errors: String, isComplete: Bool)
    /// The program was killed because it took too long.
    case timeout
    /// There is no such program.
    case missing

    /// The standard output, if the exit status was 0.
    package var output: String? {
        guard case .ended(0, let output, _, _) = self else { return nil }
        return output
    }
}
