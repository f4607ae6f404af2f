// SPDX-License-Identifier: GPL-2.0-or-later
package import KnockProtocol

/// The keys of a key file, with a name for people.
package struct NamedKey: Sendable {
    /// The name in reports: the path of the file, or the name of a guest or target.
    package let name: String
    /// The keys.
    package let keys: KeySchedule

    package init(name: String, keys: KeySchedule) {
        self.name = name
        self.keys = keys
    }
}
