// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
internal import NetfilterQueue

/// Wakes a thread that waits on descriptors (eventfd(2)).
final class Waker: Sendable {
    /// The file descriptor to wait on until somebody calls `wake()`.
    let descriptor: Int32

    init() throws(FatalError) {
        descriptor = clinux_eventfd()
        guard descriptor >= 0 else {
            throw FatalError(SystemError("eventfd", errno).description, status: EX_OSERR)
        }
    }

    deinit {
        close(descriptor)
    }

    func wake() { clinux_eventfd_signal(descriptor) }

    /// Makes the descriptor wait for the next call.
    func clear() { clinux_eventfd_clear(descriptor) }
}
