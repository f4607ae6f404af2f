// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux

/// File descriptor 1: results for people and scripts.
package enum StandardOutput {
    /// Writes text at once; what cannot be written is lost, since there is nobody left to tell.
    package static func write(_ text: String) { writeAll(text, to: STDOUT_FILENO) }
}

/// File descriptor 2: logs and errors.
package enum StandardError {
    /// Writes text at once, in one call if the system takes it, so that lines of several threads do not mix.
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
