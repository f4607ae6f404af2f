// SPDX-License-Identifier: GPL-2.0-or-later
/// A user and a group that a process can be.
package struct Identity: Equatable, Sendable {
    /// The user's name.
    package let name: String
    /// The user's number.
    package let user: UInt32
    /// The group's number.
    package let group: UInt32

    /// Joins a user and a group.
    package init(name: String, user: UInt32, group: UInt32) {
        self.name = name
        self.user = user
        self.group = group
    }
}
