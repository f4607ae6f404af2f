// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// A key whose codes the kernel program lets pass.
package struct FilterKey: Sendable {
    /// The keys.
    package let keys: KeySchedule
    /// Whether codes that are not bound to an address are accepted as well.
    package let isRoaming: Bool

    package init(_ keys: KeySchedule, isRoaming: Bool = false) {
        self.keys = keys
        self.isRoaming = isRoaming
    }
}
