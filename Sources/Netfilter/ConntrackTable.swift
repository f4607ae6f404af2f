// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Linux
public import Wire

/// The TCP connections in the kernel's connection tracking table (linux/netfilter/nfnetlink_conntrack.h).
public enum ConntrackTable {
    /// Selects connections.
    public struct Filter: Equatable, Sendable {
        /// The destination ports of first packets to select; nil for all ports.
        public var ports: [UInt16]?
        /// The required value of the mark in the bits of `markMask`.
        public var mark: UInt32 = 0
        /// The bits of the mark to compare; 0 to ignore the mark.
        public var markMask: UInt32 = 0

        /// Creates a filter that selects all connections.
        public init() {}

        /// Creates a filter for connections to some ports whose mark has all of the given bits set.
        public init(ports: [UInt16]?, markBits: UInt32 = 0) {
            self.ports = ports
            mark = markBits
            markMask = markBits
        }

        func contains(_ connection: TrackedConnection) -> Bool {
            connection.mark & markMask == mark & markMask
                && ports.map { $0.contains(connection.flow.serverPort) } ?? true
        }
    }

    /// Passes the connections of both families to `body` as they are read; the table may change meanwhile.
    ///
    /// - Parameters:
    ///   - filter: Selects the connections.
    ///   - body: Receives each connection.
    /// - Throws: `SystemError` from the kernel.
    public static func forEach(
        _ filter: Filter = Filter(), _ body: (TrackedConnection) -> Void
    ) throws(SystemError) {
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        try unsafe socket.request(
            "list tracked connections", flags: NLM_F_DUMP,
            build: { memory in
                let message = unsafe message(memory, IPCTNL_MSG_CT_GET, UInt8(AF_UNSPEC))
                if filter.markMask != 0 {
                    unsafe mnl_attr_put_u32(message, UInt16(CTA_MARK.rawValue), filter.mark.bigEndian)
                    unsafe mnl_attr_put_u32(message, UInt16(CTA_MARK_MASK.rawValue), filter.markMask.bigEndian)
                }
                return unsafe message
            },
            each: { message in
                if let connection = unsafe TrackedConnection(message), filter.contains(connection) { body(connection) }
            })
    }

    /// Returns the connections of both families; the kernel limits their number.
    ///
    /// - Parameter filter: Selects the connections.
    /// - Returns: The connections.
    /// - Throws: `SystemError` from the kernel.
    public static func list(_ filter: Filter = Filter()) throws(SystemError) -> [TrackedConnection] {
        var connections: [TrackedConnection] = []
        try forEach(filter) { connections.append($0) }
        return connections
    }

    /// Removes the entries of all TCP connections from an address to any of some ports.
    ///
    /// Everything known about such a connection, above all its mark, is forgotten; its next segment belongs to no
    /// connection.
    ///
    /// - Parameters:
    ///   - address: The source of the connections' first packets.
    ///   - ports: The destination ports of those packets.
    /// - Returns: The number of entries removed.
    /// - Throws: `SystemError` from the kernel.
    public static func removeConnections(
        from address: IPAddress, toPorts ports: [UInt16]
    ) throws(SystemError) -> Int {
        var found: [TrackedConnection] = []
        try forEach(Filter(ports: ports)) { connection in
            if connection.flow.clientAddress == address { found.append(connection) }
        }
        var removed = 0
        for connection in found where try remove(connection) { removed += 1 }
        return removed
    }

    /// Removes the entry of exactly this connection, not that of a later one with the same addresses and ports.
    ///
    /// The kernel can tell the two apart unless the later entry reuses the memory of the earlier one.
    ///
    /// - Parameter connection: The connection.
    /// - Returns: Whether the entry existed.
    /// - Throws: `SystemError` from the kernel.
    public static func remove(_ connection: TrackedConnection) throws(SystemError) -> Bool {
        try remove(
            connection.flow, id: connection.id, zone: connection.zone, originalZone: connection.originalZone)
    }

    /// Removes the entry of a TCP connection in the default zone.
    ///
    /// - Parameter flow: Its endpoints.
    /// - Returns: Whether the entry existed.
    /// - Throws: `SystemError` from the kernel.
    public static func remove(_ flow: Flow) throws(SystemError) -> Bool {
        try remove(flow, id: nil, zone: nil, originalZone: nil)
    }

    static func remove(
        _ flow: Flow, id: UInt32?, zone: UInt16?, originalZone: UInt16?
    ) throws(SystemError) -> Bool {
        guard let entry = ConntrackEntry(flow) else { throw SystemError("remove tracked connection", ENOMEM) }
        if let zone { unsafe nfct_set_attr_u16(entry.handle, ATTR_ZONE, zone) }
        if let originalZone { unsafe nfct_set_attr_u16(entry.handle, ATTR_ORIG_ZONE, originalZone) }
        let family = UInt8(flow.clientAddress.family == .ipv4 ? AF_INET : AF_INET6)
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        do throws(SystemError) {
            try unsafe socket.request("remove tracked connection", flags: NLM_F_ACK) { memory in
                let message = unsafe message(memory, IPCTNL_MSG_CT_DELETE, family)
                guard unsafe nfct_nlmsg_build(message, entry.handle) == 0 else { return nil }
                if let id { unsafe mnl_attr_put_u32(message, UInt16(CTA_ID.rawValue), id.bigEndian) }
                return unsafe message
            }
            return true
        } catch {
            // It ended in the meantime.
            guard error.number == ENOENT else { throw error }
            return false
        }
    }

    static func message(
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
