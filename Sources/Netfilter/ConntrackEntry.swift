// SPDX-License-Identifier: GPL-2.0-or-later
internal import CNetfilter
internal import Glibc
internal import Wire

/// A libnetfilter_conntrack object that names a connection in requests to the kernel.
@safe
final class ConntrackEntry {
    /// The library's object.
    let handle: OpaquePointer

    /// Creates an object for a TCP connection; nil if memory runs out.
    init?(_ flow: Flow) {
        guard let handle = unsafe nfct_new() else { return nil }
        unsafe self.handle = handle
        if let client = flow.clientAddress.ipv4, let server = flow.serverAddress.ipv4 {
            unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L3PROTO, UInt8(AF_INET))
            unsafe nfct_set_attr_u32(handle, ATTR_ORIG_IPV4_SRC, client.bigEndian)
            unsafe nfct_set_attr_u32(handle, ATTR_ORIG_IPV4_DST, server.bigEndian)
        } else {
            unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L3PROTO, UInt8(AF_INET6))
            set(flow.clientAddress, ATTR_ORIG_IPV6_SRC)
            set(flow.serverAddress, ATTR_ORIG_IPV6_DST)
        }
        unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L4PROTO, UInt8(IPPROTO_TCP))
        unsafe nfct_set_attr_u16(handle, ATTR_ORIG_PORT_SRC, flow.clientPort.bigEndian)
        unsafe nfct_set_attr_u16(handle, ATTR_ORIG_PORT_DST, flow.serverPort.bigEndian)
    }

    /// Sets the direction of the replies, without any translation of addresses.
    func setReply() {
        unsafe nfct_setobjopt(handle, UInt32(NFCT_SOPT_SETUP_REPLY))
    }

    deinit {
        unsafe nfct_destroy(handle)
    }

    private func set(_ address: IPAddress, _ attribute: nf_conntrack_attr) {
        unsafe withUnsafePointer(to: (address.high.bigEndian, address.low.bigEndian)) { bytes in
            unsafe nfct_set_attr(handle, attribute, bytes)
        }
    }
}
