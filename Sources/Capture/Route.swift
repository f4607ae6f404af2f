// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Wire

/// The way from this host to a server.
package struct Route: Equatable, Sendable {
    /// The server's address.
    package let remote: IPAddress
    /// The address of this host that the kernel chooses.
    package let local: IPAddress
    /// The interface that has it.
    package let interface: String
    /// Whether the server is in a network of one of this host's interfaces.
    package let isOnLink: Bool

    /// Looks the host up (getaddrinfo(3)) and asks the kernel for the way there; sends nothing to it.
    ///
    /// - Parameters:
    ///   - host: A name or an address.
    ///   - family: Only addresses of this family, if given.
    ///   - interface: The interface to use in place of the one that has the local address.
    /// - Throws: `CaptureError.unreachable`, or what a call failed with.
    package init(to host: String, family: IPFamily? = nil, interface: String? = nil) throws(CaptureError) {
        let addresses = try Self.lookUp(host, family)
        var found: (remote: IPAddress, local: IPAddress)?
        for address in addresses where found == nil {
            found = Self.localAddress(to: address).map { (address, $0) }
        }
        guard let (remote, local) = found else {
            throw .unreachable(
                "\(host): this host has no route to \(addresses.map(\.description).joined(separator: ", "))")
        }
        (self.remote, self.local) = (remote, local)
        let networks = Self.networks()
        guard let name = interface ?? networks.first(where: { $0.address == local })?.interface else {
            throw .unreachable("\(local): no interface has this address; name one with --interface")
        }
        self.interface = name
        isOnLink = networks.contains { $0.prefix.contains(remote) }
    }

    private static func lookUp(_ host: String, _ family: IPFamily?) throws(CaptureError) -> [IPAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_family =
            switch family {
            case .ipv4?: AF_INET
            case .ipv6?: AF_INET6
            case nil: AF_UNSPEC
            }
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, nil, &hints, &list)
        guard result == 0 else {
            throw .unreachable("\(host): \(unsafe String(cString: gai_strerror(result)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var entry = unsafe list
        while let current = unsafe entry {
            if let name = unsafe SocketAddress.read(current.pointee.ai_addr) { addresses.append(name.address) }
            unsafe entry = current.pointee.ai_next
        }
        return addresses
    }

    /// Connecting a datagram socket makes the kernel choose an address and sends nothing.
    private static func localAddress(to remote: IPAddress) -> IPAddress? {
        let name = SocketAddress(remote, port: 9)
        let descriptor = socket(name.family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard unsafe name.withPointer({ unsafe connect(descriptor, $0, $1) }) == 0 else { return nil }
        return SocketAddress.local(of: descriptor)?.address
    }

    /// All addresses of this host's interfaces with their networks (getifaddrs(3)).
    private static func networks() -> [(interface: String, address: IPAddress, prefix: IPPrefix)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var found: [(String, IPAddress, IPPrefix)] = []
        var entry = unsafe list
        while let current = unsafe entry?.pointee {
            unsafe entry = current.ifa_next
            guard let address = unsafe SocketAddress.read(current.ifa_addr)?.address,
                let mask = unsafe SocketAddress.read(current.ifa_netmask)?.address
            else { continue }
            let bits =
                address.family == .ipv4
                ? UInt32(truncatingIfNeeded: mask.low).nonzeroBitCount
                : mask.high.nonzeroBitCount + mask.low.nonzeroBitCount
            guard let prefix = IPPrefix(address, length: bits) else { continue }
            found.append((unsafe String(cString: current.ifa_name), address, prefix))
        }
        return found
    }
}
