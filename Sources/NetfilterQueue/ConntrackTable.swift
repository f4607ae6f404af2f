// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
package import Wire

/// The kernel's table of tracked connections (linux/netfilter/nfnetlink_conntrack.h).
package enum ConntrackTable {
    /// Removes the entries of all TCP connections from an address to one of some ports.
    ///
    /// What was known of such a connection, its mark above all, is forgotten; its next segment is one of no connection.
    ///
    /// - Parameters:
    ///   - address: The source of the connections' first packets.
    ///   - ports: The ports that those packets went to.
    /// - Returns: How many entries were removed.
    /// - Throws: What the kernel says against it.
    package static func removeConnections(
        from address: IPAddress, toPorts ports: [UInt16]
    ) throws(SystemError) -> Int {
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        let family = UInt8(address.family == .ipv4 ? AF_INET : AF_INET6)
        var found: [TrackedConnection] = []
        try unsafe socket.request(
            "list tracked connections", flags: NLM_F_DUMP,
            build: { memory in
                unsafe message(memory, IPCTNL_MSG_CT_GET, family)
            },
            each: { message in
                guard let connection = unsafe TrackedConnection(message), connection.isTCP,
                    connection.source == address, ports.contains(connection.destinationPort)
                else { return }
                found.append(connection)
            })
        var removed = 0
        for connection in found {
            do throws(SystemError) {
                try unsafe socket.request("remove tracked connection", flags: NLM_F_ACK) { memory in
                    let message = unsafe message(memory, IPCTNL_MSG_CT_DELETE, family)
                    return unsafe nfct_nlmsg_build(message, connection.entry) == 0 ? message : nil
                }
                removed += 1
            } catch {
                // It ended in the meantime.
                guard error.number == ENOENT else { throw error }
            }
        }
        return removed
    }

    private static func message(
        _ memory: UnsafeMutableRawPointer, _ type: cntl_msg_types, _ family: UInt8
    ) -> UnsafeMutablePointer<nlmsghdr>? {
        let header = unsafe mnl_nlmsg_put_header(memory)
        unsafe header?.pointee.nlmsg_type = UInt16(NFNL_SUBSYS_CTNETLINK) << 8 | UInt16(type.rawValue)
        guard let body = unsafe mnl_nlmsg_put_extra_header(header, MemoryLayout<nfgenmsg>.size) else { return nil }
        unsafe body.storeBytes(
            of: nfgenmsg(nfgen_family: family, version: UInt8(NFNETLINK_V0), res_id: 0), as: nfgenmsg.self)
        return unsafe header
    }
}

/// One entry of the table, as libnetfilter_conntrack holds it.
@safe
private final class TrackedConnection {
    let entry: OpaquePointer

    /// Reads a message of a listing; nil if it is none.
    init?(_ message: UnsafePointer<nlmsghdr>) {
        guard let entry = unsafe nfct_new() else { return nil }
        unsafe self.entry = entry
        guard unsafe nfct_nlmsg_parse(message, entry) == 0 else { return nil }
    }

    deinit {
        unsafe nfct_destroy(entry)
    }

    var isTCP: Bool {
        unsafe nfct_get_attr_u8(entry, ATTR_ORIG_L4PROTO) == UInt8(IPPROTO_TCP)
    }

    /// The port that the first packet went to.
    var destinationPort: UInt16 {
        unsafe UInt16(bigEndian: nfct_get_attr_u16(entry, ATTR_ORIG_PORT_DST))
    }

    /// The address that the first packet came from.
    var source: IPAddress? {
        if unsafe nfct_get_attr_u8(entry, ATTR_ORIG_L3PROTO) == UInt8(AF_INET) {
            return unsafe IPAddress(ipv4: UInt32(bigEndian: nfct_get_attr_u32(entry, ATTR_ORIG_IPV4_SRC)))
        }
        guard let bytes = unsafe nfct_get_attr(entry, ATTR_ORIG_IPV6_SRC) else { return nil }
        return unsafe IPAddress(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}
