// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

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
