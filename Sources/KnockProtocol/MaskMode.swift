// SPDX-License-Identifier: GPL-2.0-or-later

/// How the SYN/ACK hides the server's ISN (docs/PROTOCOL.md §5.2 and §5.3); the raw value is `M`.
public enum MaskMode: UInt8, CaseIterable, Sendable {
    /// A mask of 32 bits, for paths without a stateful middlebox between the two ends.
    case full = 0
    /// A mask of 15 bits, added to the true ISN, for paths through a NAT or a stateful firewall.
    case windowed = 1
}
