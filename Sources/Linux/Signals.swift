// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc

/// Receives the daemon's signals through a descriptor instead of a handler.
package final class Signals: Sendable {
    /// The request that a signal makes.
    package enum Request: Sendable {
        /// SIGTERM or SIGINT: shut down in an orderly way.
        case stop
        /// SIGHUP: read the configuration again.
        case hangUp
        /// SIGUSR1: write the counters to the log.
        case report
    }

    /// The descriptor that becomes readable when there is a request.
    package let descriptor: Int32

    /// Blocks the signals for this thread and all threads that it starts, and opens the descriptor.
    ///
    /// Also ignores SIGPIPE, so that writing to a closed pipe is an error instead of a signal.
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

    /// Returns the next request; nil if there is none.
    package func next() -> Request? {
        switch clinux_signalfd_read(descriptor) {
        case SIGTERM, SIGINT: .stop
        case SIGHUP: .hangUp
        case SIGUSR1: .report
        default: nil
        }
    }
}
