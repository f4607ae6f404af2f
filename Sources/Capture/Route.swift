// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import Wire

/// The route from this host to a server.
package struct Route: Equatable, Sendable {
    /// The server's address.
    package let remote: IPAddress
    /// The local address that the kernel chooses.
    package let local: IPAddress
    /// The interface to the server: the one with the local address, unless another was given.
    package let interface: String
    /// Whether the server is on a network of one of this host's interfaces.
    package let isOnLink: Bool

    /// Resolves the host (getaddrinfo(3)) and asks the kernel for the route; sends nothing to the server.
    ///
    /// - Parameters:
    ///   - host: A name or an address.
    ///   - family: The only family to consider; nil for both.
    ///   - interface: The interface to use instead of the one with the local address.
    /// - Throws: `FatalError`.
    package init(to host: String, family: IPFamily? = nil, interface: String? = nil) throws(FatalError) {
        let addresses = try Self.lookUp(host, family)
        var found: (remote: IPAddress, local: IPAddress)?
        for address in addresses where found == nil {
            found = Self.localAddress(to: address).map { (address, $0) }
        }
        guard let (remote, local) = found else {
            throw FatalError(
                "this host has no route to \(addresses.map(\.description).joined(separator: ", "))", at: host,
                status: .noHost)
        }
        (self.remote, self.local) = (remote, local)
        let networks = InterfaceAddresses.all()
        guard let name = interface ?? networks.first(where: { $0.address == local })?.interface else {
            throw FatalError(
                "no interface has this address", at: "\(local)", cure: "name one with --interface", status: .noHost)
        }
        self.interface = name
        isOnLink = networks.contains { $0.network.contains(remote) }
    }

    private static func lookUp(_ host: String, _ family: IPFamily?) throws(FatalError) -> [IPAddress] {
        switch NameResolver.addresses(of: host, family) {
        case .success(let addresses): return addresses
        case .failure(let error): throw FatalError(error.text, at: host, status: .noHost)
        }
    }

    /// Finds the local address: connecting a datagram socket makes the kernel choose one and sends nothing.
    private static func localAddress(to remote: IPAddress) -> IPAddress? {
        let name = SocketAddress(remote, port: 9)
        let descriptor = socket(name.family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard (try? name.connect(descriptor)) != nil else { return nil }
        return SocketAddress.local(of: descriptor)?.address
    }
}
