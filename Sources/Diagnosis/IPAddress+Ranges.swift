// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
package import Wire

extension IPAddress {
    /// The stand-in for the address of a roaming client: 16 zero bytes (docs/PROTOCOL.md §4.2).
    package static let roaming = IPAddress(high: 0, low: 0)
}

extension IPAddress {
    /// Whether the address is meaningful only in a private network or on a link (RFC 1918, RFC 6598, RFC 4193,
    /// link-local).
    package var isPrivate: Bool {
        let prefixes = [
            IPPrefix(IPAddress(10, 0, 0, 0), length: 8), IPPrefix(IPAddress(172, 16, 0, 0), length: 12),
            IPPrefix(IPAddress(192, 168, 0, 0), length: 16), IPPrefix(IPAddress(100, 64, 0, 0), length: 10),
            IPPrefix(IPAddress(169, 254, 0, 0), length: 16),
            IPPrefix(IPAddress(high: 0xfc00 << 48, low: 0), length: 7),
            IPPrefix(IPAddress(high: 0xfe80 << 48, low: 0), length: 10),
        ]
        return prefixes.contains { $0?.contains(self) ?? false }
    }
}
