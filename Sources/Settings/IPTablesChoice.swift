// SPDX-License-Identifier: GPL-2.0-or-later

/// The variant of iptables that contains the firewall rules.
package enum IPTablesChoice: String, CaseIterable, Sendable {
    /// The variant that already contains the rules; otherwise that of the host's `iptables` command.
    case auto
    /// The variant that uses nftables.
    case nft
    /// The variant that uses ip_tables, whose tables `nft flush ruleset` does not touch.
    case legacy
}
