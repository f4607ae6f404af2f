// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// A TCP socket on a free local port that sees only the incoming segments that its filter lets through.
struct FilteredSocket: ~Copyable {
    /// The file descriptor, in non-blocking mode.
    let descriptor: Int32
    /// The local port.
    let port: UInt16

    /// Binds a free port at a local address.
    ///
    /// The filter is in place before any segment can arrive.
    init(at address: IPAddress, _ filter: SocketFilter) throws(FatalError) {
        let name = SocketAddress(address)
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(name.family, type, 0)
        guard descriptor >= 0 else { throw FatalError.ofCall("socket") }
        do throws(FatalError) {
            try filter.attach(to: descriptor)
            guard (try? name.bind(descriptor)) != nil,
                let local = SocketAddress.local(of: descriptor)
            else { throw FatalError.ofCall("a local port at \(address)") }
            port = local.port
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}
