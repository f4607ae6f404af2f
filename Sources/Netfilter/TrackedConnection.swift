// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
public import Wire

/// The two ends of packets that go one way.
public struct ConnectionTuple: Hashable, Sendable {
    /// Where the packets come from.
    public let sourceAddress: IPAddress
    /// Where they go.
    public let destinationAddress: IPAddress
    /// The port that they come from.
    public let sourcePort: UInt16
    /// The port that they go to.
    public let destinationPort: UInt16

    /// The way of the answers, where no address is translated.
    public var reversed: ConnectionTuple {
        ConnectionTuple(from: destinationAddress, destinationPort, to: sourceAddress, sourcePort)
    }

    /// Names both ends, which must have addresses of one family.
    public init(from source: IPAddress, _ sourcePort: UInt16, to destination: IPAddress, _ destinationPort: UInt16) {
        self.sourceAddress = source
        self.sourcePort = sourcePort
        self.destinationAddress = destination
        self.destinationPort = destinationPort
    }
}

/// A TCP connection as the kernel tracks it (linux/netfilter/nfnetlink_conntrack.h).
public struct TrackedConnection: Equatable, Sendable {
    /// What is known of the end of a connection (linux/netfilter/nf_conntrack_tcp.h, `enum tcp_conntrack`).
    public enum State: UInt8, Sendable {
        /// No segment has been judged.
        case none
        /// A SYN was seen.
        case synSent
        /// A SYN/ACK was seen.
        case synReceived
        /// The handshake is over.
        case established
        /// One end has sent its FIN.
        case finWait
        /// The other end has acknowledged it.
        case closeWait
        /// Both ends have sent their FIN.
        case lastAcknowledgment
        /// Both FINs are acknowledged: the entry stays for two minutes, as the kernel has it if it is told nothing else.
        case timeWait
        /// A RST was seen: the entry stays for ten seconds.
        case close
        /// Both ends have sent a SYN.
        case synSent2

        /// Whether nothing more is expected of the connection.
        public var isOver: Bool { self == .timeWait || self == .close }
    }

    /// The way of the first packet.
    public let original: ConnectionTuple
    /// The way of the answers, which differs from the other way round where addresses are translated.
    public let reply: ConnectionTuple?
    /// The connection's mark; 0 where none is set.
    public let mark: UInt32
    /// Bytes that went the way of the first packet, IP headers included; nil where they are not counted.
    public let originalBytes: UInt64?
    /// Bytes that went the other way.
    public let replyBytes: UInt64?
    /// What is known of its end; nil if the kernel does not say.
    public let state: State?
    /// The number by which the kernel tells it from others: from its ends, and from where it lies in memory.
    let id: UInt32?
    /// The zone of both directions, and that of the original one alone (iptables-extensions(8), CT).
    let zone: UInt16?
    let originalZone: UInt16?

    /// Reads a message, with its header; nil if it is about no TCP connection, or does not name both ends.
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
        guard let original, let ends = original.ends else { return nil }
        self.original = ends
        self.reply = reply?.ends
        self.mark = mark
        self.originalBytes = originalBytes
        self.replyBytes = replyBytes
        self.state = state
        self.id = id
        self.zone = zone
        originalZone = original.zone
    }

    /// Reads a message whose length has been checked; nil as above.
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
