// SPDX-License-Identifier: GPL-2.0-or-later

/// The mask for ISNs that is requested from servers (docs/PROTOCOL.md §5).
package enum MaskChoice: String, CaseIterable, Sendable {
    /// Windowed behind a NAT, otherwise full.
    case auto
    /// All 32 bits.
    case full
    /// 15 bits, which stateful middleboxes tolerate.
    case windowed
}
