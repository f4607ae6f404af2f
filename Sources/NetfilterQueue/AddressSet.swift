// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
public import Wire

/// The kernel's sets of addresses that firewall rules match (`ipset`; linux/netfilter/ipset/ip_set.h).
public enum AddressSet {
    /// The version of the messages: the oldest that kernels still speak.
    private static let protocolVersion: UInt8 = 6

    /// Puts an address into a set of type `hash:ip` with timeouts; one that is in it already gets the new time.
    ///
    /// - Parameters:
    ///   - address: An address of the set's family.
    ///   - name: The name of the set, at most 31 bytes.
    ///   - seconds: How long it stays in the set.
    /// - Throws: `SystemError`; with ENOENT if there is no such set, EINVAL if the kernel has no sets.
    public static func add(_ address: IPAddress, to name: String, seconds: UInt32) throws(SystemError) {
        try request("add to address set", IPSET_CMD_ADD, address, name, seconds: seconds)
    }

    /// Takes an address out of a set.
    ///
    /// - Parameters:
    ///   - address: An address of the set's family.
    ///   - name: The name of the set.
    /// - Throws: `SystemError`, if the set is there but not to be changed; not if the address is not in it.
    public static func remove(_ address: IPAddress, from name: String) throws(SystemError) {
        do throws(SystemError) {
            try request("take out of address set", IPSET_CMD_DEL, address, name, seconds: nil)
        } catch {
            // There is no such set, or the kernel has none. That the address is not in it is an error of the set's own.
            guard error.number == ENOENT || error.number == EINVAL || error.number >= privateErrors else { throw error }
        }
    }

    /// Errors from here on are those of sets (IPSET_ERR_PRIVATE).
    private static let privateErrors: Int32 = 4096

    private static func request(
        _ call: String, _ command: ipset_cmd, _ address: IPAddress, _ name: String, seconds: UInt32?
    ) throws(SystemError) {
        let socket = try NetlinkSocket(family: NETLINK_NETFILTER)
        let family = UInt8(address.family == .ipv4 ? AF_INET : AF_INET6)
        try unsafe socket.request(call, flags: NLM_F_ACK) { memory in
            let header = unsafe mnl_nlmsg_put_header(memory)
            unsafe header?.pointee.nlmsg_type = UInt16(NFNL_SUBSYS_IPSET) << 8 | UInt16(command.rawValue)
            guard let body = unsafe mnl_nlmsg_put_extra_header(header, MemoryLayout<nfgenmsg>.size) else { return nil }
            unsafe body.storeBytes(
                of: nfgenmsg(nfgen_family: family, version: UInt8(NFNETLINK_V0), res_id: 0), as: nfgenmsg.self)
            unsafe mnl_attr_put_u8(header, UInt16(IPSET_ATTR_PROTOCOL), protocolVersion)
            unsafe mnl_attr_put_strz(header, UInt16(IPSET_ATTR_SETNAME), name)
            let data = unsafe mnl_attr_nest_start(header, UInt16(IPSET_ATTR_DATA))
            let ip = unsafe mnl_attr_nest_start(header, UInt16(IPSET_ATTR_IP))
            unsafe put(address, header)
            unsafe mnl_attr_nest_end(header, ip)
            if let seconds {
                unsafe mnl_attr_put_u32(
                    header, UInt16(IPSET_ATTR_TIMEOUT) | UInt16(NLA_F_NET_BYTEORDER), seconds.bigEndian)
            }
            unsafe mnl_attr_nest_end(header, data)
            return unsafe header
        }
    }

    private static func put(_ address: IPAddress, _ header: UnsafeMutablePointer<nlmsghdr>?) {
        if let ipv4 = address.ipv4 {
            unsafe mnl_attr_put_u32(
                header, UInt16(IPSET_ATTR_IPADDR_IPV4) | UInt16(NLA_F_NET_BYTEORDER), ipv4.bigEndian)
        } else {
            unsafe withUnsafeBytes(of: (address.high.bigEndian, address.low.bigEndian)) { bytes in
                unsafe mnl_attr_put(
                    header, UInt16(IPSET_ATTR_IPADDR_IPV6) | UInt16(NLA_F_NET_BYTEORDER), bytes.count,
                    bytes.baseAddress)
            }
        }
    }
}
