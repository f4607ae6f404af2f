// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
public import Wire

/// Checks whether this host has the socket of a connection (sock_diag(7)).
///
/// Connection tracking only observes packets: to it, a RST whose sequence number is merely close ends the connection.
/// The socket ignores such a RST, and only the socket is authoritative.
public final class SocketLookup {
    /// The TCP states (`net/tcp_states.h`) in which data can still be sent or received: ESTABLISHED, FIN_WAIT1,
    /// FIN_WAIT2, CLOSE_WAIT, LAST_ACK and CLOSING.
    private static let connectedStates: Set<UInt8> = [1, 4, 5, 8, 9, 11]

    private let socket: NetlinkSocket

    /// Opens a netlink socket in the calling thread's network namespace.
    ///
    /// - Throws: `SystemError` from the kernel.
    public init() throws(SystemError) {
        socket = try NetlinkSocket(family: NETLINK_SOCK_DIAG)
    }

    /// Returns whether the server's socket of a connection is here and connected; one lookup in the kernel's table.
    ///
    /// - Parameter flow: The connection's endpoints.
    /// - Returns: Whether there is one.
    /// - Throws: `SystemError` from the kernel.
    public func isConnected(_ flow: Flow) throws(SystemError) -> Bool {
        let family = flow.clientAddress.family == .ipv4 ? AF_INET : AF_INET6
        var found = false
        do throws(SystemError) {
            try unsafe socket.request(
                "look for a socket", flags: NLM_F_ACK,
                build: { memory in unsafe Self.message(memory, family, flow) },
                each: { message in
                    guard unsafe mnl_nlmsg_get_payload_len(message) >= MemoryLayout<inet_diag_msg>.size,
                        let payload = unsafe mnl_nlmsg_get_payload(message)
                    else { return }
                    let entry = unsafe payload.loadUnaligned(as: inet_diag_msg.self)
                    // Without such a connection, the kernel returns the listening socket.
                    found =
                        Self.connectedStates.contains(entry.idiag_state)
                        && entry.id.idiag_dport == flow.clientPort.bigEndian
                        && entry.id.idiag_sport == flow.serverPort.bigEndian
                })
        } catch {
            guard error.number == ENOENT else { throw error }
            return false
        }
        return found
    }

    private static func message(
        _ memory: UnsafeMutableRawPointer, _ family: Int32, _ flow: Flow
    ) -> UnsafeMutablePointer<nlmsghdr>? {
        let header = unsafe mnl_nlmsg_put_header(memory)
        unsafe header?.pointee.nlmsg_type = UInt16(SOCK_DIAG_BY_FAMILY)
        let size = MemoryLayout<inet_diag_req_v2>.size
        guard let body = unsafe mnl_nlmsg_put_extra_header(header, size) else { return nil }
        var request = inet_diag_req_v2()
        request.sdiag_family = UInt8(family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = ~0
        request.id.idiag_sport = flow.serverPort.bigEndian
        request.id.idiag_dport = flow.clientPort.bigEndian
        request.id.idiag_src = words(flow.serverAddress)
        request.id.idiag_dst = words(flow.clientAddress)
        // Any cookie (INET_DIAG_NOCOOKIE).
        request.id.idiag_cookie = (~0, ~0)
        unsafe body.storeBytes(of: request, as: inet_diag_req_v2.self)
        return unsafe header
    }

    private static func words(_ address: IPAddress) -> (UInt32, UInt32, UInt32, UInt32) {
        if let ipv4 = address.ipv4 { return (ipv4.bigEndian, 0, 0, 0) }
        let (high, low) = (address.high, address.low)
        return (
            UInt32(truncatingIfNeeded: high >> 32).bigEndian, UInt32(truncatingIfNeeded: high).bigEndian,
            UInt32(truncatingIfNeeded: low >> 32).bigEndian, UInt32(truncatingIfNeeded: low).bigEndian
        )
    }
}
