// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// An address of an interface.
package struct InterfaceAddress: Equatable, Sendable {
    /// The name of the interface.
    package let interface: String
    /// The address.
    package let address: IPAddress

    package init(_ interface: String, _ address: IPAddress) {
        self.interface = interface
        self.address = address
    }
}
