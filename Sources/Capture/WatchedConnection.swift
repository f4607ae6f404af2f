// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// An ordinary connection of this host's kernel that sees a SYN/ACK only when it is admitted.
///
/// So it never acknowledges a wrong ISN, for which a server would lock this host out.
final class WatchedConnection {
    /// The local port.
    var port: UInt16 { socket.port }
    private let socket: FilteredSocket

    /// Prepares a connection from a local address.
    init(from local: IPAddress) throws(FatalError) {
        socket = try FilteredSocket(at: local, .withoutSYN)
    }

    /// Sends the SYN.
    ///
    /// - Returns: The reason of an immediate failure; nil if the attempt is under way.
    func connect(to server: IPAddress, port: UInt16) -> String? {
        do throws(SystemError) {
            try SocketAddress(server, port: port).connect(socket.descriptor)
        } catch {
            return error.number == EINPROGRESS ? nil : unsafe String(cString: strerror(error.number))
        }
        return nil
    }

    /// Admits the segments that a filter lets through.
    func admit(_ filter: SocketFilter) throws(FatalError) {
        try filter.attach(to: socket.descriptor)
    }

    /// The state of the attempt.
    enum State: Equatable {
        case pending
        case connected
        case failed(Int32)
    }

    /// The current state, from the kernel.
    var state: State {
        var waiting = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
        guard unsafe poll(&waiting, 1, 0) > 0 else { return .pending }
        var number: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        unsafe getsockopt(socket.descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
        return number == 0 ? .connected : .failed(number)
    }

    /// Sends a FIN: no more data will come.
    ///
    /// A server that has the connection acknowledges it.
    func shutDown() {
        shutdown(socket.descriptor, Int32(SHUT_WR))
    }
}
