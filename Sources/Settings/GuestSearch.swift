// SPDX-License-Identifier: GPL-2.0-or-later

/// The way to find the guest whose key a SYN's code was made with.
package enum GuestSearch: String, CaseIterable, Sendable {
    /// Like `all` for up to eight guests, otherwise like `hint`.
    case auto
    /// Only by the hint in the SYN.
    case hint
    /// By the hint.
    ///
    /// If that finds no guest, all keys are tried.
    case all
}
