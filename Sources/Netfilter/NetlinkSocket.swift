// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
internal import Linux

/// A netlink socket for requests that the kernel answers at once, or for its notifications.
@safe
final class NetlinkSocket {
    /// How long to wait for an answer from the kernel before failing.
    private static let patience = timeval(tv_sec: 5, tv_usec: 0)

    /// The libmnl socket.
    let handle: OpaquePointer
    private let portID: UInt32
    private var sequence: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: 32 * 1024)

    /// Opens a socket of a netlink family (`NETLINK_NETFILTER`, `NETLINK_SOCK_DIAG`).
    ///
    /// - Parameters:
    ///   - family: The family.
    ///   - groups: The multicast groups to join, as a bit mask of the first 32.
    ///   - waits: Whether receiving blocks.
    /// - Throws: `SystemError` from the kernel.
    init(family: Int32, groups: UInt32 = 0, waits: Bool = true) throws(SystemError) {
        let flags = Int32(SOCK_CLOEXEC.rawValue) | (waits ? 0 : Int32(SOCK_NONBLOCK.rawValue))
        guard let handle = unsafe mnl_socket_open2(family, flags) else {
            throw SystemError("netlink socket")
        }
        unsafe self.handle = handle
        guard unsafe mnl_socket_bind(handle, groups, 0) == 0 else {
            let error = SystemError("netlink bind")
            unsafe mnl_socket_close(handle)
            throw error
        }
        portID = unsafe mnl_socket_get_portid(handle)
        // Only the peer that a socket is connected to can send to its port (af_netlink.c, netlink_getsockbyportid):
        // here the kernel, whose port is 0. Otherwise root could, and the sender of each packet would have to be
        // checked.
        let kernel = sockaddr_nl(nl_family: sa_family_t(AF_NETLINK), nl_pad: 0, nl_pid: 0, nl_groups: 0)
        let isConnected = unsafe withUnsafePointer(to: kernel) { kernel in
            unsafe kernel.withMemoryRebound(to: sockaddr.self, capacity: 1) { kernel in
                unsafe connect(mnl_socket_get_fd(handle), kernel, socklen_t(MemoryLayout<sockaddr_nl>.size)) == 0
            }
        }
        guard isConnected else {
            let error = SystemError("netlink connect")
            unsafe mnl_socket_close(handle)
            throw error
        }
        unsafe withUnsafePointer(to: Self.patience) { patience in
            _ = unsafe setsockopt(
                descriptor, SOL_SOCKET, SO_RCVTIMEO, patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    deinit {
        unsafe mnl_socket_close(handle)
    }

    /// The file descriptor.
    var descriptor: Int32 { unsafe mnl_socket_get_fd(handle) }

    /// Sets the size of the receive buffer in bytes; if it may not exceed the system's limit, it is capped to that.
    func setReceiveBuffer(_ size: Int32) {
        for option in [SO_RCVBUFFORCE, SO_RCVBUF] {
            let result = unsafe withUnsafePointer(to: size) { size in
                unsafe setsockopt(
                    descriptor, SOL_SOCKET, option, size, socklen_t(MemoryLayout<Int32>.size))
            }
            if result == 0 { return }
        }
    }

    /// Sends a request and passes each message of the answer to the caller.
    ///
    /// - Parameters:
    ///   - name: The name of the request, for errors.
    ///   - flags: Flags besides `NLM_F_REQUEST`: `NLM_F_ACK` for an acknowledgment, `NLM_F_DUMP` for a list.
    ///   - build: Writes the message into the given memory, and returns its header.
    ///   - each: Receives each message of the answer.
    /// - Throws: `SystemError` from the kernel, or if it does not answer in time.
    func request(
        _ name: String, flags: Int32,
        build: (UnsafeMutableRawPointer) -> UnsafeMutablePointer<nlmsghdr>?,
        each: (UnsafePointer<nlmsghdr>) -> Void = { _ in }
    ) throws(SystemError) {
        sequence &+= 1
        let sequence = sequence
        let portID = portID
        let result = unsafe buffer.withUnsafeMutableBytes { bytes -> Result<Void, SystemError> in
            guard let start = bytes.baseAddress, let header = unsafe build(start) else {
                return .failure(SystemError(name, EINVAL))
            }
            unsafe header.pointee.nlmsg_flags |= UInt16(NLM_F_REQUEST | flags)
            unsafe header.pointee.nlmsg_seq = sequence
            let sent = unsafe mnl_socket_sendto(handle, header, Int(header.pointee.nlmsg_len))
            guard sent >= 0 else { return .failure(SystemError(name)) }
            while true {
                let received = unsafe receive(bytes)
                guard received >= 0 else { return .failure(SystemError(name)) }
                var rest = Int32(received)
                var message = unsafe UnsafePointer(start.assumingMemoryBound(to: nlmsghdr.self))
                while unsafe Self.isWhole(message, rest) {
                    defer { unsafe message = UnsafePointer(mnl_nlmsg_next(message, &rest)) }
                    guard unsafe mnl_nlmsg_seq_ok(message, sequence), unsafe mnl_nlmsg_portid_ok(message, portID)
                    else { continue }
                    switch unsafe Int32(message.pointee.nlmsg_type) {
                    case NLMSG_ERROR:
                        let number = unsafe Self.errorNumber(message)
                        return number == 0 ? .success(()) : .failure(SystemError(name, number))
                    case NLMSG_DONE:
                        return .success(())
                    default:
                        unsafe each(message)
                    }
                }
            }
        }
        try result.get()
    }

    /// Receives one datagram from the kernel.
    ///
    /// Datagrams of other processes, which root can send to multicast groups, are ignored.
    ///
    /// - Parameter bytes: Receives the datagram.
    /// - Returns: Its length in bytes; or -1 with `errno` as set by recvfrom(2), or ENOSPC if it is longer than
    ///   `bytes`.
    func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            var sender = sockaddr_nl()
            var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let count = unsafe withUnsafeMutablePointer(to: &sender) { sender in
                unsafe sender.withMemoryRebound(to: sockaddr.self, capacity: 1) { sender in
                    uninterrupted {
                        unsafe recvfrom(
                            descriptor, bytes.baseAddress, bytes.count, Int32(MSG_TRUNC), sender, &length)
                    }
                }
            }
            guard count >= 0 else { return -1 }
            guard sender.nl_pid == 0 else { continue }
            guard count <= bytes.count else {
                errno = ENOSPC
                return -1
            }
            return count
        }
    }

    /// Returns whether a message is complete within the remaining bytes of a datagram.
    ///
    /// libmnl before 1.0.5 compares the length as a signed number, so a length of 2^31 or more would always fit.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - rest: The number of bytes left in the datagram.
    /// - Returns: Whether it is complete.
    static func isWhole(_ message: UnsafePointer<nlmsghdr>, _ rest: Int32) -> Bool {
        guard rest >= MemoryLayout<nlmsghdr>.size else { return false }
        return unsafe message.pointee.nlmsg_len <= UInt32(rest) && mnl_nlmsg_ok(message, rest)
    }

    /// Returns the error number in a message of type `NLMSG_ERROR`; 0 for an acknowledgment.
    static func errorNumber(_ message: UnsafePointer<nlmsghdr>) -> Int32 {
        guard unsafe mnl_nlmsg_get_payload_len(message) >= MemoryLayout<Int32>.size,
            let payload = unsafe mnl_nlmsg_get_payload(message)
        else { return EPROTO }
        return unsafe 0 &- payload.loadUnaligned(as: Int32.self)
    }
}
