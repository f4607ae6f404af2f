// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux

/// The standard output, for results.
package enum StandardOutput {
    /// Writes text immediately.
    ///
    /// Text that cannot be written is lost, because there is no way to report the error.
    package static func write(_ text: String) { writeAll(text, to: STDOUT_FILENO) }
}

/// The standard error, for logs and errors.
package enum StandardError {
    /// Writes text immediately, and in a single call if possible, so that lines of several threads do not mix.
    package static func write(_ text: String) { writeAll(text, to: STDERR_FILENO) }
}

private func writeAll(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { bytes in
            uninterrupted { unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
        }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
