// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc

/// The signals that a daemon answers, taken from a descriptor instead of a handler.
package final class Signals: Sendable {
    /// What a signal asks for.
    package enum Request: Sendable {
        /// SIGTERM or SIGINT: end in good order.
        case stop
        /// SIGHUP: read the configuration again.
        case hangUp
        /// SIGUSR1: write the counters to the log.
        case report
    }

    /// The file descriptor to wait on until a request can be taken.
    package let descriptor: Int32

    /// Blocks the signals for this thread and all that it starts, and opens the descriptor.
    ///
    /// A write to a closed pipe becomes an error instead of a signal.
    package init() throws(SystemError) {
        signal(SIGPIPE, SIG_IGN)
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] { unsafe sigaddset(&set, number) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = unsafe clinux_signalfd(&set)
        guard descriptor >= 0 else {
            throw SystemError("signalfd")
        }
    }

    deinit {
        close(descriptor)
    }

    /// Takes the next request; nil if there is none.
    package func next() -> Request? {
        switch clinux_signalfd_read(descriptor) {
        case SIGTERM, SIGINT: .stop
        case SIGHUP: .hangUp
        case SIGUSR1: .report
        default: nil
        }
    }
}
