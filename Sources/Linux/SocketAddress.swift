// SPDX-License-Identifier: GPL-2.0-or-later
internal import CLinux
internal import Glibc
package import Wire

/// An address and port in the form of the socket calls.
@safe
package struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t

    /// The address family: AF_INET or AF_INET6.
    package var family: Int32 { Int32(storage.ss_family) }

    package init(_ address: IPAddress, port: UInt16 = 0) {
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

    /// Binds a socket to the address (bind(2)).
    ///
    /// - Throws: The kernel's error.
    package func bind(_ descriptor: Int32) throws(SystemError) {
        guard unsafe withPointer({ unsafe Glibc.bind(descriptor, $0, $1) }) == 0 else { throw SystemError("bind") }
    }

    /// Connects a socket to the address (connect(2)).
    ///
    /// - Throws: The kernel's error; EINPROGRESS for a nonblocking socket.
    package func connect(_ descriptor: Int32) throws(SystemError) {
        guard unsafe withPointer({ unsafe Glibc.connect(descriptor, $0, $1) }) == 0 else {
            throw SystemError("connect")
        }
    }

    /// Sends a datagram to the address (sendto(2)).
    ///
    /// - Throws: The kernel's error.
    package func send(_ bytes: [UInt8], from descriptor: Int32) throws(SystemError) {
        let sent = unsafe withPointer { name, length in
            unsafe bytes.withUnsafeBytes { unsafe sendto(descriptor, $0.baseAddress, $0.count, 0, name, length) }
        }
        guard sent >= 0 else { throw SystemError("sendto") }
    }

    private func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafeBytes(of: storage) { bytes in
            guard let start = bytes.baseAddress else { preconditionFailure("the storage has no address") }
            return unsafe body(start.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// Reads the address at a pointer returned by a system call; nil if its family is neither IPv4 nor IPv6.
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

    /// Returns the local address of a socket (getsockname(2)).
    package static func local(of socket: Int32) -> (address: IPAddress, port: UInt16)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            guard let start = bytes.baseAddress else { return nil }
            let name = unsafe start.assumingMemoryBound(to: sockaddr.self)
            return unsafe getsockname(socket, name, &length) == 0 ? read(name) : nil
        }
    }
}
