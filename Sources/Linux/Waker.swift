// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc

/// Wakes a thread that waits on descriptors (eventfd(2)).
package final class Waker: Sendable {
    /// The file descriptor to wait on until somebody calls `wake()`.
    package let descriptor: Int32

    package init() throws(SystemError) {
        descriptor = clinux_eventfd()
        guard descriptor >= 0 else {
            throw SystemError("eventfd")
        }
    }

    deinit {
        close(descriptor)
    }

    package func wake() { clinux_eventfd_signal(descriptor) }

    /// Makes the descriptor wait for the next call.
    package func clear() { clinux_eventfd_clear(descriptor) }
}
