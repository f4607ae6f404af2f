// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// A local TCP port that no other program gets and on which the kernel does not answer: segments to it are only
/// captured.
///
/// It is a listening socket that sees no segment. Without it, the kernel would answer SYN/ACKs with a RST, which is
/// correct but may come before the experiment's own answer.
final class QuietPort {
    /// The port number.
    var number: UInt16 { socket.port }
    private let socket: FilteredSocket

    /// Binds a free port at a local address.
    init(at address: IPAddress) throws(FatalError) {
        socket = try FilteredSocket(at: address, .none)
        guard listen(socket.descriptor, 1) == 0 else { throw FatalError.ofCall("a local port at \(address)") }
    }
}
