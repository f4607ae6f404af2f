// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Wire

/// A local TCP port that nobody else gets and for which the kernel answers nothing: what comes there is only captured.
///
/// It is a listening socket that sees no segment. Without one the kernel would answer SYN/ACKs with a RST, which is
/// right but may come before an experiment's own answer.
final class QuietPort {
    /// The number of the port.
    let number: UInt16
    private let descriptor: Int32

    /// Takes a free port at a local address.
    init(at address: IPAddress) throws(CaptureError) {
        let name = SocketAddress(address)
        let descriptor = socket(name.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw callFailed("socket") }
        self.descriptor = descriptor
        do throws(CaptureError) {
            try SocketFilter.none.attach(to: descriptor)
            guard unsafe name.withPointer({ unsafe bind(descriptor, $0, $1) }) == 0, listen(descriptor, 1) == 0,
                let local = SocketAddress.local(of: descriptor)
            else { throw callFailed("a local port at \(address)") }
            number = local.port
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit {
        close(descriptor)
    }
}
