// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
internal import Settings

extension Identity {
    /// Looks up a user and group (getpwnam(3), getgrnam(3)).
    ///
    /// - Parameter setting: `NAME` or `NAME:GROUP`; nil for none.
    /// - Returns: The identity; nil if the setting is nil.
    /// - Throws: `FatalError` if the user or the group does not exist, or if this process cannot become that user.
    package static func find(_ setting: String?) throws(FatalError) -> Identity? {
        guard let setting, let name = UserName(setting) else { return nil }
        guard let entry = unsafe getpwnam(name.user) else {
            throw FatalError("there is no user \"\(name.user)\" on this host", at: "user", status: .noUser)
        }
        let user = unsafe entry.pointee.pw_uid
        var group = unsafe entry.pointee.pw_gid
        if let groupName = name.group {
            guard let entry = unsafe getgrnam(groupName) else {
                throw FatalError("there is no group \"\(groupName)\" on this host", at: "user", status: .noUser)
            }
            group = unsafe entry.pointee.gr_gid
        }
        guard geteuid() == 0 || geteuid() == user else {
            throw FatalError("only root can become \"\(name.user)\"", at: "user", status: .noPermission)
        }
        return Identity(name: name.user, user: user, group: group)
    }

    /// Returns whether this process can become the user that the setting names, or already is that user.
    static func canBecome(_ setting: String) -> Bool { (try? find(setting)) != nil }
}

extension FatalError {
    /// Adds an explanation to a permission error: the daemon no longer has the user or the rights that it started with.
    package func explained(for identity: Identity?) -> FatalError {
        guard status == .noPermission else { return self }
        let reader = identity.map { "user \"\($0.name)\", whom the daemon runs as," } ?? "the daemon"
        let explanation = FatalError(
            "\(reader) has given up root's right to read everything",
            cure: "configuration and key files must be its own or root's", status: status)
        return FatalError([self, explanation], status: status)
    }
}
