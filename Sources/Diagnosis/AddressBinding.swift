// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
internal import Wire

/// The kind of address that a code or proof was computed with.
package enum AddressBinding: String, Sendable {
    /// The source address of the SYN as captured.
    case source
    /// No address: 16 zero bytes.
    case roaming
    /// An address that the user gave, such as that of a NAT.
    case given
}
