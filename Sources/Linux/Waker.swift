// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc

/// Wakes a thread that polls descriptors (eventfd(2)).
package final class Waker: Sendable {
    /// The descriptor that becomes readable when `wake()` is called.
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

    /// Makes the descriptor unreadable until the next call of `wake()`.
    package func clear() { clinux_eventfd_clear(descriptor) }
}
