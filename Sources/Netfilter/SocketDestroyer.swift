// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
public import Wire

/// Closes local TCP sockets with SOCK_DESTROY (sock_diag(7); the kernel needs CONFIG_INET_DIAG_DESTROY).
public enum SocketDestroyer {
    /// The kernel's TCP states (`net/tcp_states.h`) of connections that are not closed yet, as a bit mask.
    private static let connectionStates: UInt32 = [1, 3, 4, 5, 8, 9, 11].reduce(0) { $0 | 1 << $1 }

    /// Closes all sockets at a local port that are connected to an address; their peers are sent a RST.
    ///
    /// - Parameters:
    ///   - address: The remote address.
    ///   - port: The local port.
    /// - Returns: The number of sockets closed.
    /// - Throws: `SystemError`; EOPNOTSUPP if the kernel cannot do this.
    public static func destroyConnections(from address: IPAddress, toPort port: UInt16) throws(SystemError) -> Int {
        try destroy(localPort: port, remoteAddress: address) { _ in true }
    }

    /// Closes the server's socket of a connection; the client is sent a RST.
    ///
    /// - Parameter flow: The connection's endpoints.
    /// - Returns: Whether there was one.
    /// - Throws: `SystemError`; EOPNOTSUPP if the kernel cannot do this.
    public static func destroyConnection(_ flow: Flow) throws(SystemError) -> Bool {
        let destroyed = try destroy(localPort: flow.serverPort, remoteAddress: flow.clientAddress) { entry in
            entry.id.idiag_dport == flow.clientPort.bigEndian
                && Self.address(entry.id.idiag_src, entry.idiag_family) == flow.serverAddress
        }
        return destroyed > 0
    }

    /// Closes the sockets that match, and returns their number.
    ///
    /// Sockets are listed first, so that they can be named by their cookies: for a connection that has just ended, the
    /// kernel would otherwise pick the listening socket.
    ///
    /// - Parameters:
    ///   - localPort: The local port.
    ///   - remoteAddress: The remote address.
    ///   - isMeant: Returns whether a listed socket is to be closed.
    /// - Returns: The number of sockets closed.
    /// - Throws: `SystemError` from the kernel.
    private static func destroy(
        localPort: UInt16, remoteAddress: IPAddress, where isMeant: (inet_diag_msg) -> Bool
    ) throws(SystemError) -> Int {
        let socket = try NetlinkSocket(family: NETLINK_SOCK_DIAG)
        var destroyed = 0
        // An IPv4 connection to a listener for both families is listed under IPv6, with mapped addresses.
        let families = remoteAddress.family == .ipv4 ? [AF_INET, AF_INET6] : [AF_INET6]
        for family in families {
            for entry in try connections(socket, family: family, from: remoteAddress, localPort) where isMeant(entry) {
                do throws(SystemError) {
                    try destroy(socket, family: family, entry.id)
                    destroyed += 1
                } catch {
                    // It was closed in the meantime.
                    guard error.number == ENOENT else { throw error }
                }
            }
        }
        return destroyed
    }

    private static func connections(
        _ socket: NetlinkSocket, family: Int32, from address: IPAddress, _ port: UInt16
    ) throws(SystemError) -> [inet_diag_msg] {
        var found: [inet_diag_msg] = []
        try unsafe socket.request(
            "list sockets", flags: NLM_F_DUMP,
            build: { memory in
                var id = inet_diag_sockid()
                id.idiag_sport = port.bigEndian
                return unsafe message(memory, UInt16(SOCK_DIAG_BY_FAMILY), family, id)
            },
            each: { message in
                guard unsafe mnl_nlmsg_get_payload_len(message) >= MemoryLayout<inet_diag_msg>.size,
                    let payload = unsafe mnl_nlmsg_get_payload(message)
                else { return }
                let entry = unsafe payload.loadUnaligned(as: inet_diag_msg.self)
                guard entry.id.idiag_sport == port.bigEndian,
                    self.address(entry.id.idiag_dst, entry.idiag_family) == address
                else { return }
                found.append(entry)
            })
        return found
    }

    private static func destroy(
        _ socket: NetlinkSocket, family: Int32, _ id: inet_diag_sockid
    ) throws(SystemError) {
        try unsafe socket.request("destroy socket", flags: NLM_F_ACK) { memory in
            unsafe message(memory, UInt16(SOCK_DESTROY), family, id)
        }
    }

    private static func message(
        _ memory: UnsafeMutableRawPointer, _ type: UInt16, _ family: Int32, _ id: inet_diag_sockid
    ) -> UnsafeMutablePointer<nlmsghdr>? {
        let header = unsafe mnl_nlmsg_put_header(memory)
        unsafe header?.pointee.nlmsg_type = type
        let size = MemoryLayout<inet_diag_req_v2>.size
        guard let body = unsafe mnl_nlmsg_put_extra_header(header, size) else { return nil }
        var request = inet_diag_req_v2()
        request.sdiag_family = UInt8(family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = connectionStates
        request.id = id
        unsafe body.storeBytes(of: request, as: inet_diag_req_v2.self)
        return unsafe header
    }

    private static func address(_ words: (UInt32, UInt32, UInt32, UInt32), _ family: UInt8) -> IPAddress {
        let first = UInt32(bigEndian: words.0)
        guard Int32(family) == AF_INET6 else { return IPAddress(ipv4: first) }
        return IPAddress(
            high: UInt64(first) << 32 | UInt64(UInt32(bigEndian: words.1)),
            low: UInt64(UInt32(bigEndian: words.2)) << 32 | UInt64(UInt32(bigEndian: words.3)))
    }

    /// Returns a message for an error thrown by this type.
    public static func explanation(of error: SystemError) -> String {
        guard error.number == EOPNOTSUPP else { return error.description }
        return "\(error): this kernel lacks CONFIG_INET_DIAG_DESTROY, so they are cut off but not closed"
    }
}
