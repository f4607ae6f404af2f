// SPDX-License-Identifier: GPL-2.0-or-later
internal import Diagnosis
internal import Glibc
internal import Linux
internal import Wire

/// A sender of whole packets past this host's TCP.
///
/// They take the path of all outgoing packets, firewall rules included.
final class SegmentSender {
    private let descriptor: Int32

    /// Opens a raw socket (raw(7), ipv6(7)).
    ///
    /// - Throws: `FatalError` without CAP_NET_RAW.
    init(family: IPFamily, interface: String?) throws(FatalError) {
        let domain = family == .ipv4 ? AF_INET : AF_INET6
        descriptor = socket(domain, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
        guard descriptor >= 0 else { throw FatalError.ofCall("raw socket") }
        if let interface {
            let result = unsafe interface.withCString { name in
                unsafe setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(interface.utf8.count))
            }
            guard result == 0 else {
                let error = FatalError.ofCall("interface \(interface)")
                close(descriptor)
                throw error
            }
        }
    }

    deinit {
        close(descriptor)
    }

    /// Sends a segment.
    ///
    /// A segment that the host's own rules hold back counts as lost on the way.
    func send(_ segment: CraftedSegment) {
        try? SocketAddress(segment.destination).send(segment.bytes, from: descriptor)
    }
}
