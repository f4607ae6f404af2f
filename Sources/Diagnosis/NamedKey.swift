// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The keys of a key file, with a name for people.
package struct NamedKey: Sendable {
    /// The name in reports: the path of the file, or the name of a guest or target.
    package let name: String
    /// The keys.
    package let keys: KeySchedule

    package init(name: String, keys: KeySchedule) {
        self.name = name
        self.keys = keys
    }
}

extension IPAddress {
    /// The stand-in for the address of a roaming client: 16 zero bytes (docs/PROTOCOL.md §4.2).
    package static let roaming = IPAddress(high: 0, low: 0)
}

/// The kind of address that a code or proof was computed with.
package enum AddressBinding: String, Sendable {
    /// The source address of the SYN as captured.
    case source
    /// No address: 16 zero bytes.
    case roaming
    /// An address that the user gave, such as that of a NAT.
    case given
}

/// An address to try on codes and proofs.
package struct AddressCandidate: Hashable, Sendable {
    /// The address.
    package let address: IPAddress
    /// Where the address comes from.
    package let binding: AddressBinding

    package init(_ address: IPAddress, _ binding: AddressBinding) {
        self.address = address
        self.binding = binding
    }
}
