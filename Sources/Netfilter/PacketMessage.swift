// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter

/// The attributes of a queued packet that are needed for a verdict, parsed from an `NFQNL_MSG_PACKET` message.
///
/// Parsed by hand in one pass: libnetfilter_queue validates and stores every attribute with one call each, which under
/// load took a fifth of this process's time per packet.
@safe
struct PacketMessage {
    /// The packet id, for the verdict.
    private(set) var id: UInt32 = 0
    /// The number of the netfilter hook.
    private(set) var hook: UInt8 = 0
    /// The packet mark; 0 if not set.
    private(set) var mark: UInt32 = 0
    /// Whether the kernel has verified the transport checksum.
    private(set) var checksumVerified = true
    /// The packet, starting with its IP header; empty if the kernel copied nothing.
    private(set) var payload = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Parses a message whose length has been checked.
    ///
    /// Returns nil if there is no packet header, or if an attribute is too short or extends beyond the message.
    init?(_ message: UnsafePointer<nlmsghdr>) {
        // linux/netlink.h: both headers and all attributes are aligned to 4 bytes.
        let headers = MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size
        let bytes = unsafe UnsafeMutableRawPointer(mutating: message)
        let end = unsafe Int(message.pointee.nlmsg_len)
        let attributeHeader = MemoryLayout<nlattr>.size
        var hasHeader = false
        var offset = headers
        while end - offset >= attributeHeader {
            let attribute = unsafe (bytes + offset).loadUnaligned(as: nlattr.self)
            let length = Int(attribute.nla_len)
            guard length >= attributeHeader, length <= end - offset else { return nil }
            let value = unsafe bytes + offset + attributeHeader
            let count = length - attributeHeader
            switch UInt32(attribute.nla_type & ~UInt16(NLA_F_NESTED | NLA_F_NET_BYTEORDER)) {
            case NFQA_PACKET_HDR.rawValue:
                guard count >= MemoryLayout<nfqnl_msg_packet_hdr>.size else { return nil }
                let header = unsafe value.loadUnaligned(as: nfqnl_msg_packet_hdr.self)
                id = UInt32(bigEndian: header.packet_id)
                hook = header.hook
                hasHeader = true
            case NFQA_MARK.rawValue:
                guard count >= MemoryLayout<UInt32>.size else { return nil }
                mark = unsafe UInt32(bigEndian: value.loadUnaligned(as: UInt32.self))
            case UInt32(NFQA_SKB_INFO.rawValue):
                guard count >= MemoryLayout<UInt32>.size else { return nil }
                let flags = unsafe UInt32(bigEndian: value.loadUnaligned(as: UInt32.self))
                checksumVerified = flags & UInt32(NFQA_SKB_CSUM_NOTVERIFIED) == 0
            case NFQA_PAYLOAD.rawValue:
                unsafe payload = UnsafeMutableRawBufferPointer(start: value, count: count)
            default:
                break
            }
            offset += (length + 3) & ~3
        }
        guard hasHeader else { return nil }
    }
}
