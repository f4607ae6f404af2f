// SPDX-License-Identifier: GPL-2.0-or-later
package import Wire

/// The address that servers see instead of this host's own.
package enum NATAddress: Equatable, Sendable {
    /// There is no NAT on the path.
    case none
    /// One address for each family.
    case addresses([IPFamily: IPAddress])
    /// The address is unknown.
    ///
    /// Codes are not bound to an address (roaming).
    case automatic
}
