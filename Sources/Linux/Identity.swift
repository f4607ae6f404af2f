// SPDX-License-Identifier: GPL-2.0-or-later
/// A user and group that a process can run as.
package struct Identity: Equatable, Sendable {
    /// The user's name.
    package let name: String
    /// The user ID.
    package let user: UInt32
    /// The group ID.
    package let group: UInt32

    package init(name: String, user: UInt32, group: UInt32) {
        self.name = name
        self.user = user
        self.group = group
    }
}
