// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// The standard error, for logs and errors.
package enum StandardError {
    /// Writes text immediately, and in a single call if possible, so that lines of several threads do not mix.
    package static func write(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }
}
