// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Wire

/// Asks for the addresses of names (getaddrinfo(3)); it may take long, so not on a thread that others wait for.
package enum NameResolver {
    /// So many addresses of a name are used; more have never been meant.
    private static let maximumCount = 64

    /// Finds all addresses of a name.
    ///
    /// - Returns: The addresses in the order of the system; or what the system says against it.
    package static func addresses(of name: String) -> Result<[IPAddress], ResolverError> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(name, nil, &hints, &list)
        guard status == 0 else {
            return .failure(ResolverError(description: unsafe String(cString: gai_strerror(status))))
        }
        defer { unsafe freeaddrinfo(list) }
        var found: [IPAddress] = []
        var entry = unsafe list
        while let current = unsafe entry, found.count < maximumCount {
            if let address = unsafe address(current.pointee), !found.contains(address) { found.append(address) }
            unsafe entry = current.pointee.ai_next
        }
        return .success(found)
    }

    private static func address(_ entry: addrinfo) -> IPAddress? {
        guard let bytes = unsafe UnsafeRawPointer(entry.ai_addr) else { return nil }
        switch unsafe entry.ai_family {
        case AF_INET where unsafe entry.ai_addrlen >= UInt32(MemoryLayout<sockaddr_in>.size):
            return IPAddress(ipv4: UInt32(bigEndian: unsafe bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6 where unsafe entry.ai_addrlen >= UInt32(MemoryLayout<sockaddr_in6>.size):
            let address = unsafe bytes.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return unsafe withUnsafeBytes(of: address) { bytes in
                unsafe IPAddress(
                    high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        default:
            return nil
        }
    }
}

/// Why a name has no addresses.
package struct ResolverError: Error, Equatable, CustomStringConvertible {
    /// What the system says.
    package let description: String
}
