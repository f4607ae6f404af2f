// SPDX-License-Identifier: GPL-2.0-or-later

/// The use of a setting by the firewall scripts.
enum FirewallUse: Sendable {
    /// They do not need it.
    case none
    /// They are always told.
    case always
    /// They are told if it is not the default.
    case unlessDefault
}
