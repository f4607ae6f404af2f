// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Wire

/// The addresses of this network namespace's interfaces (getifaddrs(3)).
package enum InterfaceAddresses {
    /// Returns all addresses, each with the name of its interface and its network; none if the kernel does not list
    /// them.
    package static func all() -> [(interface: String, address: IPAddress, network: IPPrefix)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var found: [(interface: String, address: IPAddress, network: IPPrefix)] = []
        var entry = unsafe list
        while let current = unsafe entry?.pointee {
            unsafe entry = current.ifa_next
            guard let address = unsafe SocketAddress.read(current.ifa_addr)?.address,
                let name = unsafe current.ifa_name
            else { continue }
            let mask = unsafe SocketAddress.read(current.ifa_netmask)?.address
            if let network = IPPrefix(address, length: prefixLength(mask, address.family)) {
                found.append((unsafe String(cString: name), address, network))
            }
        }
        return found
    }

    /// Returns the prefix length of a mask.
    ///
    /// A missing mask is that of a single address.
    private static func prefixLength(_ mask: IPAddress?, _ family: IPFamily) -> Int {
        switch (mask, family) {
        case (nil, .ipv4): 32
        case (nil, .ipv6): 128
        case (let mask?, .ipv4): UInt32(truncatingIfNeeded: mask.low).nonzeroBitCount
        case (let mask?, .ipv6): mask.high.nonzeroBitCount + mask.low.nonzeroBitCount
        }
    }
}
