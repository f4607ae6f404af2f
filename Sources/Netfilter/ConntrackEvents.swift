// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
internal import Synchronization

/// Receives an event for each TCP connection that the kernel stops tracking (linux/netfilter/nfnetlink.h, multicast
/// group NFNLGRP_CONNTRACK_DESTROY).
///
/// An event comes after the end of the connection, when conntrack removes the entry: by default two minutes after the
/// last FIN and ten seconds after a RST (`net.netfilter.nf_conntrack_tcp_timeout_time_wait` and `..._close`).
///
/// With the default of nf_conntrack_events, connections that began while nobody listened may end without an event. So
/// start listening first, then read `ConntrackTable`. Read it again after an overflow.
public final class ConntrackEvents: Sendable {
    /// The result of one call to `receive`.
    public struct Batch: Equatable, Sendable {
        /// The number of connections passed to the caller.
        public var connections = 0
        /// The number of messages read, including those about other protocols.
        public var messages = 0
        /// The number of messages of an unexpected form.
        public var malformedMessages = 0
        /// Whether events were lost since the last call because they were not read fast enough.
        public var overflowed = false

        public init() {}
    }

    private struct Receiver {
        let socket: NetlinkSocket
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    }

    /// The maximum number of datagrams read by one call to `receive`.
    private static let batchSize = 256

    /// The file descriptor to poll for events.
    public let descriptor: Int32
    private let receiver: Mutex<Receiver>

    /// Starts listening in the calling thread's network namespace.
    ///
    /// - Parameter receiveBuffer: The size of the socket's receive buffer in bytes; events that do not fit are lost.
    /// - Throws: `SystemError`; EPERM without CAP_NET_ADMIN.
    public init(receiveBuffer: Int32 = Queue.Options().receiveBuffer) throws(SystemError) {
        let socket = try NetlinkSocket(
            family: NETLINK_NETFILTER, groups: UInt32(NF_NETLINK_CONNTRACK_DESTROY), waits: false)
        socket.setReceiveBuffer(receiveBuffer)
        descriptor = socket.descriptor
        receiver = Mutex(Receiver(socket: socket))
    }

    /// Reads the waiting events, up to the size of a batch, without blocking.
    ///
    /// - Parameter body: Receives each connection.
    /// - Returns: What was read; no messages if there are none for now.
    /// - Throws: `SystemError` if the socket has become unusable.
    public func receive(_ body: (TrackedConnection) -> Void) throws(SystemError) -> Batch {
        let (batch, connections) = try receiver.withLock { receiver throws(SystemError) in
            var batch = Batch()
            var connections: [TrackedConnection] = []
            for _ in 0..<Self.batchSize {
                guard try Self.receive(&receiver, &batch, &connections) else { break }
            }
            return (batch, connections)
        }
        connections.forEach(body)
        return batch
    }

    /// Reads one datagram; returns whether there may be more.
    private static func receive(
        _ receiver: inout Receiver, _ batch: inout Batch, _ connections: inout [TrackedConnection]
    ) throws(SystemError) -> Bool {
        let socket = receiver.socket
        let count = unsafe receiver.buffer.withUnsafeMutableBytes { bytes in
            unsafe socket.receive(bytes)
        }
        guard count < 0 else {
            unsafe receiver.buffer.withUnsafeBytes { bytes in
                unsafe take(UnsafeRawBufferPointer(rebasing: bytes[..<count]), &batch, &connections)
            }
            return count > 0
        }
        switch Glibc.errno {
        case EAGAIN: return false
        case ENOBUFS: batch.overflowed = true
        // Longer than the buffer, which no event is.
        case ENOSPC: batch.malformedMessages += 1
        default: throw SystemError("receive conntrack events")
        }
        return true
    }

    /// Parses the messages of a datagram.
    static func take(
        _ datagram: UnsafeRawBufferPointer, _ batch: inout Batch, _ connections: inout [TrackedConnection]
    ) {
        var rest = Int32(clamping: datagram.count)
        guard var message = unsafe datagram.assumingMemoryBound(to: nlmsghdr.self).baseAddress else { return }
        while unsafe NetlinkSocket.isWhole(message, rest) {
            batch.messages += 1
            if unsafe message.pointee.nlmsg_type == UInt16(NFNL_SUBSYS_CTNETLINK) << 8
                | UInt16(IPCTNL_MSG_CT_DELETE.rawValue)
            {
                if let connection = unsafe TrackedConnection(message) {
                    batch.connections += 1
                    connections.append(connection)
                }
            } else {
                batch.malformedMessages += 1
            }
            guard let next = unsafe mnl_nlmsg_next(message, &rest) else { return }
            unsafe message = UnsafePointer(next)
        }
        if rest > 0 { batch.malformedMessages += 1 }
    }
}
