// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Wire

/// An address and port as the socket calls take them.
@safe
struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t

    /// AF_INET or AF_INET6.
    var family: Int32 { Int32(storage.ss_family) }

    init(_ address: IPAddress, port: UInt16 = 0) {
        if let ipv4 = address.ipv4 {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = ipv4.bigEndian
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0.storeBytes(of: name, as: sockaddr_in.self) }
        } else {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &name.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
                unsafe bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0.storeBytes(of: name, as: sockaddr_in6.self) }
        }
    }

    /// Lends it to a call.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafeBytes(of: storage) { bytes in
            guard let start = bytes.baseAddress else { preconditionFailure("the storage has no address") }
            return unsafe body(start.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// Reads an address that a call has left behind a pointer; nil for other families.
    static func read(_ pointer: UnsafePointer<sockaddr>?) -> (address: IPAddress, port: UInt16)? {
        guard let pointer = unsafe pointer else { return nil }
        let raw = unsafe UnsafeRawPointer(pointer)
        switch unsafe Int32(pointer.pointee.sa_family) {
        case AF_INET:
            let name = unsafe raw.loadUnaligned(as: sockaddr_in.self)
            return (IPAddress(ipv4: UInt32(bigEndian: name.sin_addr.s_addr)), UInt16(bigEndian: name.sin_port))
        case AF_INET6:
            let name = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
            let halves = unsafe withUnsafeBytes(of: name.sin6_addr) { bytes in
                unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            return (
                IPAddress(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1)),
                UInt16(bigEndian: name.sin6_port)
            )
        default: return nil
        }
    }

    /// The local name of a socket (getsockname(2)).
    static func local(of socket: Int32) -> (address: IPAddress, port: UInt16)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            guard let start = bytes.baseAddress else { return nil }
            let name = unsafe start.assumingMemoryBound(to: sockaddr.self)
            return unsafe getsockname(socket, name, &length) == 0 ? read(name) : nil
        }
    }
}

/// A failed call with the reason of errno(3).
func callFailed(_ what: String) -> CaptureError {
    let number = errno
    if number == EPERM || number == EACCES { return .notPermitted(what) }
    return .failed(what, reason: unsafe String(cString: strerror(number)))
}
