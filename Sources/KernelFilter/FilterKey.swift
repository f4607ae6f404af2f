// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// A key whose codes the program in the kernel lets pass.
package struct FilterKey: Sendable {
    /// The keys.
    package let keys: KeySchedule
    /// Whether codes that are bound to no address are good too.
    package let isRoaming: Bool

    /// Takes both.
    package init(_ keys: KeySchedule, isRoaming: Bool = false) {
        self.keys = keys
        self.isRoaming = isRoaming
    }
}
