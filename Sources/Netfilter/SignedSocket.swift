// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
public import Wire

/// A local TCP socket that signs its segments and requires its peers to do so (TCP MD5, RFC 2385; sock_diag(7)).
///
/// The kernel reports these to processes with CAP_NET_ADMIN. It does not report TCP-AO (RFC 5925) to anyone.
public struct SignedSocket: Equatable, Sendable {
    /// The local port.
    public let localPort: UInt16
    /// The remote port; 0 for a listening socket.
    public let remotePort: UInt16
    /// Whether the socket is listening.
    public let isListening: Bool
    /// The peers with which segments are signed.
    public let peers: [IPPrefix]

    public init(localPort: UInt16, remotePort: UInt16 = 0, isListening: Bool = true, peers: [IPPrefix]) {
        (self.localPort, self.remotePort, self.isListening, self.peers) = (localPort, remotePort, isListening, peers)
    }

    /// Returns the signing sockets of both families in the calling thread's network namespace.
    ///
    /// - Returns: The sockets.
    /// - Throws: `SystemError` from the kernel.
    public static func all() throws(SystemError) -> [SignedSocket] {
        let socket = try NetlinkSocket(family: NETLINK_SOCK_DIAG)
        var found: [SignedSocket] = []
        for family in [AF_INET, AF_INET6] {
            try unsafe socket.request(
                "list sockets", flags: NLM_F_DUMP, build: { memory in unsafe Self.message(memory, family) },
                each: { message in
                    let start = unsafe UnsafeRawPointer(message).assumingMemoryBound(to: UInt8.self)
                    let bytes = unsafe Span(_unsafeStart: start, count: Int(message.pointee.nlmsg_len))
                    if let signed = SignedSocket(bytes) { found.append(signed) }
                })
        }
        return found
    }

    private static func message(
        _ memory: UnsafeMutableRawPointer, _ family: Int32
    ) -> UnsafeMutablePointer<nlmsghdr>? {
        let header = unsafe mnl_nlmsg_put_header(memory)
        unsafe header?.pointee.nlmsg_type = UInt16(SOCK_DIAG_BY_FAMILY)
        guard let body = unsafe mnl_nlmsg_put_extra_header(header, MemoryLayout<inet_diag_req_v2>.size) else {
            return nil
        }
        var request = inet_diag_req_v2()
        request.sdiag_family = UInt8(family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = ~0
        // Signatures are included in the TCP information (net/ipv4/inet_diag.c, idiag_get_aux).
        request.idiag_ext = 1 << UInt8(INET_DIAG_INFO - 1)
        unsafe body.storeBytes(of: request, as: inet_diag_req_v2.self)
        return unsafe header
    }

    /// LISTEN in `net/tcp_states.h`.
    private static let listening: UInt8 = 10
    private static let signatures = UInt16(INET_DIAG_MD5SIG)
    /// The size of `struct tcp_diag_md5sig` (linux/tcp.h): family, prefix length, key length, address and key.
    private static let signatureLength = 100

    /// Parses a message including its header; nil for a socket that signs nothing.
    init?(_ message: borrowing Span<UInt8>) {
        // `struct inet_diag_msg` begins with family, state, timer, retransmissions, and both ports in network byte
        // order.
        let start = MemoryLayout<nlmsghdr>.size
        let headers = start + MemoryLayout<inet_diag_msg>.size
        guard message.count >= headers else { return nil }
        var peers: [IPPrefix] = []
        var attributes = NetlinkAttributes(in: headers..<message.count)
        while let attribute = attributes.next(in: message) {
            guard attribute.type == Self.signatures else { continue }
            for offset in stride(
                from: 0, through: attribute.value.count - Self.signatureLength, by: Self.signatureLength)
            {
                if let peer = Self.peer(message, at: attribute.value.lowerBound + offset) { peers.append(peer) }
            }
        }
        guard !peers.isEmpty else { return nil }
        self.init(
            localPort: message.uint16(at: start + 4), remotePort: message.uint16(at: start + 6),
            isListening: message[start + 1] == Self.listening, peers: peers)
    }

    private static func peer(_ message: borrowing Span<UInt8>, at offset: Int) -> IPPrefix? {
        let length = Int(message[offset + 1])
        if message[offset] == UInt8(AF_INET) {
            return IPPrefix(IPAddress(ipv4: message.uint32(at: offset + 4)), length: length)
        }
        return IPPrefix(
            IPAddress(high: message.uint64(at: offset + 4), low: message.uint64(at: offset + 12)), length: length)
    }
}
