// SPDX-License-Identifier: GPL-2.0-or-later

/// The two address families of the Internet Protocol.
public enum IPFamily: UInt8, CaseIterable, Sendable {
    /// Internet Protocol version 4 (RFC 791).
    case ipv4 = 4
    /// Internet Protocol version 6 (RFC 8200).
    case ipv6 = 6
}
