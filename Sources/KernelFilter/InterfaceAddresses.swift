// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Wire

/// The addresses of this network namespace's interfaces (getifaddrs(3)).
package enum InterfaceAddresses {
    /// All of them, with the names of their interfaces; none if the kernel does not tell.
    package static func all() -> [(interface: String, address: IPAddress)] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return [] }
        defer { unsafe freeifaddrs(first) }
        var found: [(interface: String, address: IPAddress)] = []
        var next = unsafe first
        while let entry = unsafe next {
            unsafe next = entry.pointee.ifa_next
            guard let socketAddress = unsafe entry.pointee.ifa_addr, let name = unsafe entry.pointee.ifa_name,
                let address = unsafe address(socketAddress)
            else { continue }
            found.append((unsafe String(cString: name), address))
        }
        return found
    }

    private static func address(_ name: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        let bytes = UnsafeRawPointer(name)
        switch unsafe Int32(name.pointee.sa_family) {
        case AF_INET:
            let ipv4 = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
            return IPAddress(ipv4: UInt32(bigEndian: ipv4.sin_addr.s_addr))
        case AF_INET6:
            let ipv6 = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
            let halves = unsafe withUnsafeBytes(of: ipv6.sin6_addr) { bytes in
                unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            return IPAddress(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
        default:
            return nil
        }
    }
}
