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
    init?(_ original: ConnectionTuple) {
        guard let handle = unsafe nfct_new() else { return nil }
        unsafe self.handle = handle
        if let source = original.sourceAddress.ipv4, let destination = original.destinationAddress.ipv4 {
            unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L3PROTO, UInt8(AF_INET))
            unsafe nfct_set_attr_u32(handle, ATTR_ORIG_IPV4_SRC, source.bigEndian)
            unsafe nfct_set_attr_u32(handle, ATTR_ORIG_IPV4_DST, destination.bigEndian)
        } else {
            unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L3PROTO, UInt8(AF_INET6))
            set(original.sourceAddress, ATTR_ORIG_IPV6_SRC)
            set(original.destinationAddress, ATTR_ORIG_IPV6_DST)
        }
        unsafe nfct_set_attr_u8(handle, ATTR_ORIG_L4PROTO, UInt8(IPPROTO_TCP))
        unsafe nfct_set_attr_u16(handle, ATTR_ORIG_PORT_SRC, original.sourcePort.bigEndian)
        unsafe nfct_set_attr_u16(handle, ATTR_ORIG_PORT_DST, original.destinationPort.bigEndian)
    }

    /// Sets the tuple of the reply direction: the original one with its endpoints swapped.
    func setReply(of original: ConnectionTuple) {
        if let source = original.sourceAddress.ipv4, let destination = original.destinationAddress.ipv4 {
            unsafe nfct_set_attr_u8(handle, ATTR_REPL_L3PROTO, UInt8(AF_INET))
            unsafe nfct_set_attr_u32(handle, ATTR_REPL_IPV4_SRC, destination.bigEndian)
            unsafe nfct_set_attr_u32(handle, ATTR_REPL_IPV4_DST, source.bigEndian)
        } else {
            unsafe nfct_set_attr_u8(handle, ATTR_REPL_L3PROTO, UInt8(AF_INET6))
            set(original.destinationAddress, ATTR_REPL_IPV6_SRC)
            set(original.sourceAddress, ATTR_REPL_IPV6_DST)
        }
        unsafe nfct_set_attr_u8(handle, ATTR_REPL_L4PROTO, UInt8(IPPROTO_TCP))
        unsafe nfct_set_attr_u16(handle, ATTR_REPL_PORT_SRC, original.destinationPort.bigEndian)
        unsafe nfct_set_attr_u16(handle, ATTR_REPL_PORT_DST, original.sourcePort.bigEndian)
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
