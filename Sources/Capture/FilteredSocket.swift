// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// A TCP socket with a free local port which sees only those incoming segments that its filter lets through.
struct FilteredSocket: ~Copyable {
    /// Its file descriptor, which blocks nobody.
    let descriptor: Int32
    /// Its local port.
    let port: UInt16

    /// Takes a free port at a local address; the filter is there before any segment can come.
    init(at address: IPAddress, _ filter: SocketFilter) throws(CaptureError) {
        let name = SocketAddress(address)
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(name.family, type, 0)
        guard descriptor >= 0 else { throw callFailed("socket") }
        do throws(CaptureError) {
            try filter.attach(to: descriptor)
            guard (try? name.bind(descriptor)) != nil,
                let local = SocketAddress.local(of: descriptor)
            else { throw callFailed("a local port at \(address)") }
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
