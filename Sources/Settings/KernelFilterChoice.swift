// SPDX-License-Identifier: GPL-2.0-or-later

/// Whether a program in the kernel drops SYNs with wrong codes.
package enum KernelFilterChoice: String, CaseIterable, Sendable {
    /// If the kernel supports it.
    case auto
    /// Always; otherwise the daemon does not start.
    case on
    /// Never.
    case off
}
