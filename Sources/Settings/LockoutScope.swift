// SPDX-License-Identifier: GPL-2.0-or-later

/// The scope of a lockout after a wrong third ACK.
package enum LockoutScope: String, CaseIterable, Sendable {
    /// The guest whose key was used, at the address that the ACK came from.
    case guest
    /// Everybody at that address.
    case address
}
