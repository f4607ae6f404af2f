// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// The networks whose addresses are not routed on the Internet.
package enum PrivateNetworks {
    /// The networks of RFC 1918, RFC 6598, RFC 3927, RFC 4193 and RFC 4291, including loopback.
    package static let all = [
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
        "fe80::/10", "::1/128",
    ].compactMap { IPPrefix($0) }

    /// Returns whether one of the networks contains the address.
    package static func contain(_ address: IPAddress) -> Bool { all.contains { $0.contains(address) } }

    /// Returns whether one of the networks contains all addresses of the prefix.
    package static func contain(_ prefix: IPPrefix) -> Bool {
        all.contains { $0.mappedLength <= prefix.mappedLength && $0.contains(prefix.address) }
    }
}
