// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// The standard output, for results.
package enum StandardOutput {
    /// Writes text immediately.
    ///
    /// Text that cannot be written is lost, because there is no way to report the error.
    package static func write(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll(text.utf8) }
}
