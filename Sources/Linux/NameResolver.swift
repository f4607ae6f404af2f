// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Wire

/// Resolves host names (getaddrinfo(3)).
///
/// This may block for a long time.
package enum NameResolver {
    /// The largest number of addresses that are used per name.
    ///
    /// More have never been intended.
    private static let maximumCount = 64

    /// Returns all addresses of a name.
    ///
    /// - Parameters:
    ///   - name: The name, or an address as text.
    ///   - family: The address family; nil for both.
    /// - Returns: The addresses in the order of the system, or the system's error.
    package static func addresses(of name: String, _ family: IPFamily? = nil) -> Result<[IPAddress], ResolverError> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_family =
            switch family {
            case .ipv4?: AF_INET
            case .ipv6?: AF_INET6
            case nil: AF_UNSPEC
            }
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(name, nil, &hints, &list)
        guard status == 0 else {
            return .failure(ResolverError(text: unsafe String(cString: gai_strerror(status))))
        }
        defer { unsafe freeaddrinfo(list) }
        var found: [IPAddress] = []
        var entry = unsafe list
        while let current = unsafe entry, found.count < maximumCount {
            let address = unsafe SocketAddress.read(current.pointee.ai_addr)?.address
            if let address, !found.contains(address) { found.append(address) }
            unsafe entry = current.pointee.ai_next
        }
        return .success(found)
    }
}
