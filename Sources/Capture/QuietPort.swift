// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// A local TCP port that nobody else gets and for which the kernel answers nothing: what comes there is only captured.
///
/// It is a listening socket that sees no segment. Without one the kernel would answer SYN/ACKs with a RST, which is
/// right but may come before an experiment's own answer.
final class QuietPort {
    /// The number of the port.
    var number: UInt16 { socket.port }
    private let socket: FilteredSocket

    /// Takes a free port at a local address.
    init(at address: IPAddress) throws(CaptureError) {
        socket = try FilteredSocket(at: address, .none)
        guard listen(socket.descriptor, 1) == 0 else { throw callFailed("a local port at \(address)") }
    }
}
