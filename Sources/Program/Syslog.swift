// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Synchronization
package import SystemPackage

/// Sends lines to the host's syslog daemon, as datagrams to its socket, like syslog(3) (RFC 3164 §4.1).
///
/// Sending never blocks. Lines that the syslog daemon does not accept at once are lost and counted, and their number is
/// sent when it accepts lines again. If it cannot be reached, that is reported on standard error, once until it
/// changes.
package final class Syslog: Sendable {
    /// The severity of a line (RFC 3164 §4.1.1).
    package enum Priority: Int, Sendable {
        /// Critical conditions.
        case critical = 2
        /// Error conditions.
        case error
        /// Warning conditions.
        case warning
        /// Normal but significant conditions.
        case notice
        /// Informational messages.
        case informational
        /// Debug messages.
        case debug
    }

    private struct Connection {
        var descriptor: Int32 = -1
        var lost: UInt64 = 0
        var trouble: SystemError?
    }

    /// The facility LOG_DAEMON of syslog(3).
    private static let facility = 3 << 3
    /// The longest message, in bytes.
    ///
    /// Longer ones are truncated, because syslog daemons accept 8 KiB.
    private static let maximumLength = 8 * 1024

    private let tag: String
    private let path: FilePath
    private let connection = Mutex(Connection())

    /// Creates a sender that connects when there is a line to send.
    ///
    /// - Parameters:
    ///   - program: The program's name, which precedes each line.
    ///   - path: The syslog daemon's socket.
    package init(program: String, path: FilePath = "/dev/log") {
        tag = "\(program)[\(getpid())]"
        self.path = path
    }

    deinit {
        connection.withLock { Self.disconnect(&$0) }
    }

    /// Sends a line.
    ///
    /// Returns at once.
    package func write(_ text: String, _ priority: Priority) {
        let trouble = connection.withLock { connection -> SystemError? in
            let before = connection.trouble
            do throws(SystemError) {
                try reportLost(&connection)
                try send(text, priority, &connection)
                connection.trouble = nil
            } catch {
                connection.lost &+= 1
                // If the syslog daemon is only too slow, the number of lost lines is sent to it later.
                guard error.number != EAGAIN, error.number != ENOBUFS else { return nil }
                connection.trouble = error
            }
            return connection.trouble == before ? nil : connection.trouble
        }
        if let trouble {
            StandardError.write("\(tag): \(path): \(trouble); log lines are lost until a syslog daemon takes them\n")
        }
    }

    private func reportLost(_ connection: inout Connection) throws(SystemError) {
        guard connection.lost > 0 else { return }
        try send("WARNING log lines were lost count=\(connection.lost)", .warning, &connection)
        connection.lost = 0
    }

    private func send(_ text: String, _ priority: Priority, _ connection: inout Connection) throws(SystemError) {
        let line = "<\(Self.facility | priority.rawValue)>\(SystemClock.syslogTimestamp()) \(tag): \(text)"
        let bytes = Array(line.utf8.prefix(Self.maximumLength))[...]
        // The connected syslog daemon may have ended, and another may have taken its place.
        for isFirstTry in [true, false] {
            if connection.descriptor < 0 { try connect(&connection) }
            let descriptor = connection.descriptor
            guard UnixSocket.send(bytes, to: descriptor, flags: Int32(MSG_DONTWAIT)) < 0 else { return }
            let error = SystemError("send")
            guard error.number != EAGAIN, error.number != ENOBUFS else { throw error }
            Self.disconnect(&connection)
            if !isFirstTry { throw error }
        }
    }

    private func connect(_ connection: inout Connection) throws(SystemError) {
        let descriptor = try UnixSocket.open(isDatagram: true)
        do throws(SystemError) {
            try UnixSocket.connect(descriptor, to: path)
        } catch {
            close(descriptor)
            throw error
        }
        connection.descriptor = descriptor
    }

    private static func disconnect(_ connection: inout Connection) {
        if connection.descriptor >= 0 { close(connection.descriptor) }
        connection.descriptor = -1
    }
}
