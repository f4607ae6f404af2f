// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol
package import Wire

/// The keys of a key file, and what people call it.
package struct NamedKey: Sendable {
    /// What reports call it: the path of the file, or the name of a guest or target.
    package let name: String
    /// The keys.
    package let keys: KeySchedule

    /// Gives keys a name.
    package init(name: String, keys: KeySchedule) {
        self.name = name
        self.keys = keys
    }
}

extension IPAddress {
    /// What a roaming client computes with in place of its address: 16 zero bytes.
    package static let roaming = IPAddress(high: 0, low: 0)
}

/// Which address a code or proof was computed with.
package enum AddressBinding: String, Sendable {
    /// The source address of the SYN as captured.
    case source
    /// No address: 16 zero bytes.
    case roaming
    /// An address that was named, such as that of a NAT.
    case given
}

/// An address to try codes and proofs with.
package struct AddressCandidate: Hashable, Sendable {
    /// The address.
    package let address: IPAddress
    /// Where it is from.
    package let binding: AddressBinding

    /// Names an address and where it is from.
    package init(_ address: IPAddress, _ binding: AddressBinding) {
        self.address = address
        self.binding = binding
    }
}
