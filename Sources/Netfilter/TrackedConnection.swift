// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
public import Wire

/// A TCP connection as the kernel tracks it (linux/netfilter/nfnetlink_conntrack.h).
public struct TrackedConnection: Equatable, Sendable {
    /// The TCP state of a connection (linux/netfilter/nf_conntrack_tcp.h, `enum tcp_conntrack`).
    public enum State: UInt8, Sendable {
        /// No segment has been seen.
        case none
        /// A SYN was seen.
        case synSent
        /// A SYN/ACK was seen.
        case synReceived
        /// The handshake is complete.
        case established
        /// One endpoint has sent its FIN.
        case finWait
        /// The other endpoint has acknowledged it.
        case closeWait
        /// Both endpoints have sent their FIN.
        case lastAcknowledgment
        /// Both FINs are acknowledged: by default the entry stays for two more minutes.
        case timeWait
        /// A RST was seen: by default the entry stays for ten more seconds.
        case close
        /// Both endpoints have sent a SYN.
        case synSent2

        /// Whether the connection has ended.
        public var isOver: Bool { self == .timeWait || self == .close }
    }

    /// Both endpoints: the client sent the first packet.
    public let flow: Flow
    /// Both endpoints according to the replies: others than in `flow` if addresses are translated.
    public let replyFlow: Flow?
    /// The connection's mark; 0 if not set.
    public let mark: UInt32
    /// The number of bytes in the original direction, including IP headers; nil if not counted.
    public let originalBytes: UInt64?
    /// The number of bytes in the reply direction, including IP headers; nil if not counted.
    public let replyBytes: UInt64?
    /// The TCP state; nil if the kernel does not report it.
    public let state: State?
    /// The kernel's id of the entry, made from its endpoints and its position in memory.
    let id: UInt32?
    /// The zone of both directions, and that of the original direction alone (iptables-extensions(8), CT).
    let zone: UInt16?
    let originalZone: UInt16?

    /// Parses a message including its header; nil unless it is about a TCP connection and names both endpoints.
    init?(_ message: borrowing Span<UInt8>) {
        var original: ConntrackTuple?
        var reply: ConntrackTuple?
        var mark: UInt32 = 0
        var (originalBytes, replyBytes): (UInt64?, UInt64?)
        var (state, id, zone): (State?, UInt32?, UInt16?)
        let headers = MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size
        guard message.count >= headers else { return nil }
        var attributes = NetlinkAttributes(in: headers..<message.count)
        while let attribute = attributes.next(in: message) {
            switch UInt32(attribute.type) {
            case CTA_TUPLE_ORIG.rawValue: original = ConntrackTuple(attribute, message)
            case CTA_TUPLE_REPLY.rawValue: reply = ConntrackTuple(attribute, message)
            case CTA_MARK.rawValue: mark = attribute.uint32(message) ?? 0
            case CTA_COUNTERS_ORIG.rawValue: originalBytes = Self.bytes(attribute, message)
            case CTA_COUNTERS_REPLY.rawValue: replyBytes = Self.bytes(attribute, message)
            case CTA_PROTOINFO.rawValue: state = Self.state(attribute, message)
            case CTA_ID.rawValue: id = attribute.uint32(message)
            case CTA_ZONE.rawValue: zone = attribute.uint16(message)
            default: break
            }
        }
        guard let original, let flow = original.flow(isReply: false) else { return nil }
        self.flow = flow
        replyFlow = reply?.flow(isReply: true)
        self.mark = mark
        self.originalBytes = originalBytes
        self.replyBytes = replyBytes
        self.state = state
        self.id = id
        self.zone = zone
        originalZone = original.zone
    }

    /// Parses a message whose length has been checked; nil under the same conditions.
    init?(_ message: UnsafePointer<nlmsghdr>) {
        let start = unsafe UnsafeRawPointer(message).assumingMemoryBound(to: UInt8.self)
        let bytes = unsafe Span(_unsafeStart: start, count: Int(message.pointee.nlmsg_len))
        self.init(bytes)
    }

    private static func bytes(
        _ counters: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>
    ) -> UInt64? {
        var attributes = counters.nested
        while let attribute = attributes.next(in: message) {
            if UInt32(attribute.type) == CTA_COUNTERS_BYTES.rawValue { return attribute.uint64(message) }
        }
        return nil
    }

    private static func state(
        _ information: NetlinkAttributes.Attribute, _ message: borrowing Span<UInt8>
    ) -> State? {
        var protocols = information.nested
        while let part = protocols.next(in: message) {
            guard UInt32(part.type) == CTA_PROTOINFO_TCP.rawValue else { continue }
            var attributes = part.nested
            while let attribute = attributes.next(in: message) {
                if UInt32(attribute.type) == CTA_PROTOINFO_TCP_STATE.rawValue {
                    return attribute.uint8(message).flatMap(State.init)
                }
            }
        }
        return nil
    }
}
