// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
internal import Synchronization

/// Tells which TCP connections the kernel has ceased to track (linux/netfilter/nfnetlink.h, the multicast group
/// NFNLGRP_CONNTRACK_DESTROY).
///
/// That is later than their end by what conntrack keeps an entry for: two minutes after the last FIN and ten seconds
/// after a RST if nothing else is set (`net.netfilter.nf_conntrack_tcp_timeout_time_wait` and `..._close`).
///
/// Connections that began while nobody listened may end without an event, as nf_conntrack_events has it by default; so
/// begin to listen first, and then look at `ConntrackTable`. Look there again after an overflow.
public final class ConntrackEvents: Sendable {
    /// What came of one call to `receive`.
    public struct Batch: Equatable, Sendable {
        /// How many connections were handed over.
        public var connections = 0
        /// How many messages were read, of whatever protocol.
        public var messages = 0
        /// How many messages were not what the kernel sends.
        public var malformedMessages = 0
        /// Whether events were lost since the last call, because they came faster than they were taken.
        public var overflowed = false

        /// Begins with nothing.
        public init() {}
    }

    private struct Receiver {
        let socket: NetlinkSocket
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    }

    /// How many datagrams one call to `receive` takes at most.
    private static let batchSize = 256

    /// The file descriptor to wait on until events can be received.
    public let descriptor: Int32
    private let receiver: Mutex<Receiver>

    /// Begins to listen in the calling thread's network namespace.
    ///
    /// - Parameter receiveBuffer: The size of the socket's receive buffer in bytes; beyond it events are lost.
    /// - Throws: `SystemError`; with EPERM without CAP_NET_ADMIN.
    public init(receiveBuffer: Int32 = 8 * 1024 * 1024) throws(SystemError) {
        let socket = try NetlinkSocket(
            family: NETLINK_NETFILTER, groups: UInt32(NF_NETLINK_CONNTRACK_DESTROY), waits: false)
        socket.setReceiveBuffer(receiveBuffer)
        descriptor = socket.descriptor
        receiver = Mutex(Receiver(socket: socket))
    }

    /// Takes as many events as are waiting and fit in a batch; never waits.
    ///
    /// - Parameter body: Takes a connection.
    /// - Returns: What came of it; no messages mean that there are none for now.
    /// - Throws: What made the socket unusable.
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

    /// Returns whether there may be more.
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

    /// Reads the messages of a datagram.
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
