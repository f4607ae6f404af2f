// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
public import Wire

/// Restores entries that connection tracking has lost.
extension ConntrackTable {
    /// TCP_CONNTRACK_ESTABLISHED (linux/netfilter/nf_conntrack_tcp.h).
    private static let establishedState: UInt8 = 3
    /// IP_CT_TCP_FLAG_BE_LIBERAL: the windows of both endpoints are unknown, so no segment may be considered invalid
    /// because of its numbers.
    private static let liberalFlag: UInt8 = 0x08
    /// IPS_SEEN_REPLY, IPS_ASSURED (the entry is not evicted when the table is full) and IPS_CONFIRMED.
    private static let status: UInt32 = 1 << 1 | 1 << 2 | 1 << 3
    /// The maximum number of attempts, because segments may create entries of their own in between.
    private static let tries = 3

    /// Creates an entry for an established TCP connection, or marks the existing one.
    ///
    /// - Parameters:
    ///   - flow: Its endpoints.
    ///   - mark: The mark of a new entry.
    ///   - markBits: The mark bits to set in an existing entry.
    ///   - seconds: How long the entry stays without traffic; the next segment resets this to the kernel's own timeout.
    /// - Throws: `SystemError` from the kernel.
    public static func restore(
        _ flow: Flow, mark: UInt32, markBits: UInt32, seconds: UInt32
    ) throws(SystemError) {
        for attempt in 1...tries {
            do throws(SystemError) {
                return try put(flow, mark: mark, markMask: nil, seconds, NLM_F_CREATE | NLM_F_EXCL)
            } catch {
                guard error.number == EEXIST, attempt < tries else { throw error }
            }
            // A segment came first. If this host sent it, the entry has the wrong direction.
            guard let there = try find(flow) else { continue }
            if there.flow == flow {
                return try put(flow, mark: markBits, markMask: markBits, seconds, 0)
            }
            _ = try remove(there)
        }
    }

    private static func put(
        _ flow: Flow, mark: UInt32, markMask: UInt32?, _ seconds: UInt32, _ flags: Int32
    ) throws(SystemError) {
        guard let entry = ConntrackEntry(flow) else { throw SystemError("give back tracked connection", ENOMEM) }
        entry.setReply()
        let handle = unsafe entry.handle
        unsafe nfct_set_attr_u8(handle, ATTR_TCP_STATE, establishedState)
        for attribute in [ATTR_TCP_FLAGS_ORIG, ATTR_TCP_MASK_ORIG, ATTR_TCP_FLAGS_REPL, ATTR_TCP_MASK_REPL] {
            unsafe nfct_set_attr_u8(handle, attribute, liberalFlag)
        }
        unsafe nfct_set_attr_u32(handle, ATTR_STATUS, status)
        unsafe nfct_set_attr_u32(handle, ATTR_TIMEOUT, seconds)
        unsafe nfct_set_attr_u32(handle, ATTR_MARK, mark)
        let family = UInt8(flow.clientAddress.family == .ipv4 ? AF_INET : AF_INET6)
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        try unsafe socket.request("give back tracked connection", flags: NLM_F_ACK | flags) { memory in
            let message = unsafe message(memory, IPCTNL_MSG_CT_NEW, family)
            guard unsafe nfct_nlmsg_build(message, handle) == 0 else { return nil }
            if let markMask { unsafe mnl_attr_put_u32(message, UInt16(CTA_MARK_MASK.rawValue), markMask.bigEndian) }
            return unsafe message
        }
    }

    /// Finds the entry of a connection, whichever endpoint sent its first packet.
    private static func find(_ flow: Flow) throws(SystemError) -> TrackedConnection? {
        guard let entry = ConntrackEntry(flow) else { throw SystemError("find tracked connection", ENOMEM) }
        let family = UInt8(flow.clientAddress.family == .ipv4 ? AF_INET : AF_INET6)
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        var found: TrackedConnection?
        do throws(SystemError) {
            try unsafe socket.request(
                "find tracked connection", flags: NLM_F_ACK,
                build: { memory in
                    let message = unsafe message(memory, IPCTNL_MSG_CT_GET, family)
                    return unsafe nfct_nlmsg_build(message, entry.handle) == 0 ? message : nil
                },
                each: { message in found = unsafe TrackedConnection(message) })
        } catch {
            guard error.number == ENOENT else { throw error }
        }
        return found
    }
}
