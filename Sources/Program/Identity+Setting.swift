// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
internal import Settings

extension Identity {
    /// Looks a user up, and the group (getpwnam(3), getgrnam(3)).
    ///
    /// - Parameter setting: `NAME` or `NAME:GROUP`; nil for nobody.
    /// - Returns: nil for nobody.
    /// - Throws: Who is missing.
    package static func find(_ setting: String?) throws(FatalError) -> Identity? {
        guard let setting, let name = UserName(setting) else { return nil }
        guard let entry = unsafe getpwnam(name.user) else {
            throw FatalError("user: there is no user \"\(name.user)\" on this host", status: EX_NOUSER)
        }
        let user = unsafe entry.pointee.pw_uid
        var group = unsafe entry.pointee.pw_gid
        if let groupName = name.group {
            guard let entry = unsafe getgrnam(groupName) else {
                throw FatalError("user: there is no group \"\(groupName)\" on this host", status: EX_NOUSER)
            }
            group = unsafe entry.pointee.gr_gid
        }
        guard geteuid() == 0 || geteuid() == user else {
            throw FatalError("user: only root can become \"\(name.user)\"", status: EX_NOPERM)
        }
        return Identity(name: name.user, user: user, group: group)
    }

    /// Asks whether this process can become somebody, as in `find`, or is who that is.
    static func canBecome(_ setting: String) -> Bool { (try? find(setting)) != nil }
}

extension FatalError {
    /// The error, and what may be behind it where something may not be read: the daemon is not who it was at its start.
    package func explained(for identity: Identity?) -> FatalError {
        guard status == EX_NOPERM else { return self }
        let reader = identity.map { "user \"\($0.name)\", whom the daemon runs as," } ?? "the daemon"
        return FatalError(
            "\(description)\n\(reader) has given up root's right to read everything; "
                + "configuration and key files must be its own or root's", status: status)
    }
}
