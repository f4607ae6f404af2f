// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KeyFiles
package import KnockProtocol
package import Linux
package import SystemPackage

extension KeySchedule {
    /// Reads a key file, whoever owns it.
    package static func read(_ path: FilePath) throws(FatalError) -> KeySchedule { try read(path, owners: nil) }

    /// Reads a daemon's key file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - user: The user that the daemon becomes, as in the settings. The file may belong to that user, to root, or to
    ///     the current user.
    /// - Returns: The keys.
    /// - Throws: What is wrong with the file.
    package static func read(_ path: FilePath, forDaemonOf user: String?) throws(FatalError) -> KeySchedule {
        let identity = try Identity.find(user)
        return try read(path, owners: [0, geteuid()] + (identity.map { [$0.user] } ?? []))
    }

    private static func read(_ path: FilePath, owners: [UInt32]?) throws(FatalError) -> KeySchedule {
        try fatally { () throws(KeyFileError) in
            try KeyFile.read(path, owners: owners, opening: FileBroker.open)
        }
    }
}
