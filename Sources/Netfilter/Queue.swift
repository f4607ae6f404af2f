// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import CNetfilter
internal import Glibc
public import Linux

/// A kernel packet queue (`-j NFQUEUE`; linux/netfilter/nfnetlink_queue.h) bound to this process.
@safe
public final class Queue: PacketQueue {
    /// The settings of a queue.
    public struct Options: Equatable, Sendable {
        /// The maximum number of packets waiting in the kernel.
        public var length: UInt32 = 8192
        /// The size of the socket's receive buffer in bytes; packets that do not fit are dropped.
        public var receiveBuffer: Int32 = 8 * 1024 * 1024
        /// The number of bytes copied of each packet, at most `maximumCopyRange`; a longer packet cannot be modified.
        public var copyRange = Queue.maximumCopyRange
        /// Whether packets are accepted, rather than dropped, while the queue is full.
        public var failsOpen = false

        public init() {}
    }

    /// The maximum number of packets received by one call to `receive`.
    private static let batchSize = 64
    /// The maximum number of bytes that the kernel copies (65,535 minus an attribute header).
    public static let maximumCopyRange = 0xffff - 4
    /// The space in a netlink message besides the packet: headers and all other attributes, in bytes.
    private static let messageOverhead = 512
    /// The size in bytes at which verdicts are sent; there is room after it for one more, of a rewritten packet.
    private static let verdictBatch = 64 * 1024

    private let number: UInt16
    private let socket: NetlinkSocket
    private let slotSize: Int
    /// The receive buffers, one slot per packet.
    ///
    /// Of each slot, only as much memory is touched as its longest packet so far has needed.
    private let slots: UnsafeMutableRawPointer
    private let vectors: UnsafeMutablePointer<iovec>
    private let headers: UnsafeMutablePointer<clinux_mmsghdr>
    /// The buffer in which the verdicts of a batch are assembled.
    private let verdicts: UnsafeMutableRawPointer
    private var verdictLength = 0
    /// The last packet of a run to be dropped that has no verdict yet; the whole run gets a single verdict.
    private var droppedThrough: UInt32?

    /// Binds a queue.
    ///
    /// - Parameters:
    ///   - number: The number of the queue.
    ///   - options: Its settings.
    /// - Throws: `SystemError`; EPERM without permission, or if another process holds the queue.
    public init(number: UInt16, options: Options) throws(SystemError) {
        self.number = number
        socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let copyRange = min(options.copyRange, Self.maximumCopyRange)
        // An odd number of cache lines, so that the starts of the slots do not all map to the same cache sets.
        slotSize = ((copyRange + Self.messageOverhead) / 128 * 2 + 1) * 64
        unsafe slots = .allocate(byteCount: Self.batchSize * slotSize, alignment: page)
        unsafe verdicts = .allocate(
            byteCount: Self.verdictBatch + Self.maximumCopyRange + 2 * Self.messageOverhead, alignment: page)
        unsafe vectors = .allocate(capacity: Self.batchSize)
        unsafe headers = .allocate(capacity: Self.batchSize)
        for index in 0..<Self.batchSize {
            unsafe (vectors + index).initialize(
                to: iovec(iov_base: slots + index * slotSize, iov_len: slotSize))
            unsafe (headers + index).initialize(to: clinux_mmsghdr())
            unsafe headers[index].msg_hdr.msg_iov = vectors + index
            unsafe headers[index].msg_hdr.msg_iovlen = 1
        }
        try bind(options, copyRange)
        socket.setReceiveBuffer(options.receiveBuffer)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe verdicts.deallocate()
        unsafe vectors.deallocate()
        unsafe headers.deallocate()
    }

    /// The file descriptor to poll for packets.
    public var descriptor: Int32 { socket.descriptor }

    private func bind(_ options: Options, _ copyRange: Int) throws(SystemError) {
        let number = number
        try unsafe socket.request("bind queue", flags: NLM_F_ACK) { memory in
            let message = unsafe nfq_nlmsg_put(
                memory.assumingMemoryBound(to: CChar.self), Int32(NFQNL_MSG_CONFIG.rawValue), UInt32(number))
            unsafe nfq_nlmsg_cfg_put_cmd(message, UInt16(AF_UNSPEC), UInt8(NFQNL_CFG_CMD_BIND.rawValue))
            return unsafe message
        }
        try unsafe socket.request("configure queue", flags: NLM_F_ACK) { memory in
            let message = unsafe nfq_nlmsg_put(
                memory.assumingMemoryBound(to: CChar.self), Int32(NFQNL_MSG_CONFIG.rawValue), UInt32(number))
            unsafe nfq_nlmsg_cfg_put_params(message, UInt8(NFQNL_COPY_PACKET.rawValue), Int32(copyRange))
            unsafe nfq_nlmsg_cfg_put_qmaxlen(message, options.length)
            // Without NFQA_CFG_F_GSO, the kernel fills in checksums and splits segments before it queues them.
            let mask = UInt32(NFQA_CFG_F_FAIL_OPEN)
            let flags = options.failsOpen ? mask : 0
            unsafe mnl_attr_put_u32(message, UInt16(NFQA_CFG_FLAGS.rawValue), flags.bigEndian)
            unsafe mnl_attr_put_u32(message, UInt16(NFQA_CFG_MASK.rawValue), mask.bigEndian)
            return unsafe message
        }
    }

    /// Receives the waiting packets, up to the size of a batch, and sends the verdicts, without blocking.
    public func receive(
        _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict
    ) throws(SystemError) -> ReceivedBatch {
        var batch = ReceivedBatch()
        let count = uninterrupted {
            unsafe clinux_recvmmsg_nonblocking(descriptor, headers, UInt32(Self.batchSize))
        }
        guard count >= 0 else {
            switch Glibc.errno {
            case EAGAIN:
                return batch
            case ENOBUFS:
                batch.trouble.overflows += 1
                return batch
            default:
                throw SystemError("receive from queue")
            }
        }
        for index in 0..<Int(count) {
            var rest = unsafe Int32(headers[index].msg_len)
            var message = unsafe UnsafePointer(
                (slots + index * slotSize).assumingMemoryBound(to: nlmsghdr.self))
            while unsafe NetlinkSocket.isWhole(message, rest) {
                try unsafe take(message, judge, &batch)
                unsafe message = UnsafePointer(mnl_nlmsg_next(message, &rest))
            }
        }
        addDrops()
        try sendVerdicts()
        return batch
    }

    private func take(
        _ message: UnsafePointer<nlmsghdr>, _ judge: (QueuedPacket, inout MutableSpan<UInt8>) -> QueueVerdict,
        _ batch: inout ReceivedBatch
    ) throws(SystemError) {
        let packetType = UInt16(NFNL_SUBSYS_QUEUE) << 8 | UInt16(NFQNL_MSG_PACKET.rawValue)
        switch unsafe message.pointee.nlmsg_type {
        case packetType:
            break
        case UInt16(NLMSG_ERROR):
            if unsafe NetlinkSocket.errorNumber(message) != 0 { batch.trouble.refusedVerdicts += 1 }
            return
        default:
            batch.trouble.malformedMessages += 1
            return
        }
        guard let packet = unsafe PacketMessage(message) else {
            batch.trouble.malformedMessages += 1
            return
        }
        let description = QueuedPacket(
            hook: NetfilterHook(rawValue: packet.hook), mark: packet.mark, checksumVerified: packet.checksumVerified)
        var span = unsafe MutableSpan(_unsafeElements: packet.payload.assumingMemoryBound(to: UInt8.self))
        let verdict = judge(description, &span)
        batch.packets += 1
        try unsafe add(verdict, packetID: packet.id, packet.payload)
    }

    private func add(
        _ verdict: QueueVerdict, packetID: UInt32, _ bytes: UnsafeMutableRawBufferPointer
    ) throws(SystemError) {
        guard verdict != .drop else {
            droppedThrough = packetID
            return
        }
        addDrops()
        let message = unsafe begin(NFQNL_MSG_VERDICT)
        let (isRepeated, isModified, mark) =
            switch verdict {
            case .drop: (false, false, UInt32(0))
            case .accept(let mark): (false, false, mark)
            case .acceptModified(let mark): (false, true, mark)
            case .repeat(let mark): (true, false, mark)
            case .repeatModified(let mark): (true, true, mark)
            }
        unsafe nfq_nlmsg_verdict_put(
            message, Int32(bitPattern: packetID), isRepeated ? NF_REPEAT : NF_ACCEPT)
        unsafe nfq_nlmsg_verdict_put_mark(message, mark)
        if isModified { unsafe nfq_nlmsg_verdict_put_pkt(message, bytes.baseAddress, UInt32(bytes.count)) }
        unsafe end(message)
        if verdictLength >= Self.verdictBatch { try sendVerdicts() }
    }

    /// Adds one verdict for a run of packets to be dropped.
    ///
    /// All packets before the run have their verdicts, and ids grow in order of arrival, so a batch verdict that names
    /// the last packet covers exactly the run.
    private func addDrops() {
        guard let last = droppedThrough else { return }
        droppedThrough = nil
        let message = unsafe begin(NFQNL_MSG_VERDICT_BATCH)
        unsafe nfq_nlmsg_verdict_put(message, Int32(bitPattern: last), NF_DROP)
        unsafe end(message)
    }

    private func begin(_ type: nfqnl_msg_types) -> UnsafeMutablePointer<nlmsghdr>? {
        unsafe nfq_nlmsg_put(
            (verdicts + verdictLength).assumingMemoryBound(to: CChar.self), Int32(type.rawValue), UInt32(number))
    }

    private func end(_ message: UnsafeMutablePointer<nlmsghdr>?) {
        guard let message = unsafe message else { return }
        verdictLength += unsafe (Int(message.pointee.nlmsg_len) + 3) & ~3
    }

    private func sendVerdicts() throws(SystemError) {
        guard verdictLength > 0 else { return }
        defer { verdictLength = 0 }
        while uninterrupted({ unsafe mnl_socket_sendto(socket.handle, verdicts, verdictLength) }) < 0 {
            guard Glibc.errno == EAGAIN else { throw SystemError("send verdicts") }
        }
    }
}
