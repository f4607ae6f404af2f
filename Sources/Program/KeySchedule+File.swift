// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KeyFiles
package import KnockProtocol
internal import Linux
package import SystemPackage

extension KeySchedule {
    /// Reads a key file, whosesoever it is.
    package static func read(_ path: FilePath) throws(FatalError) -> KeySchedule { try read(path, owners: nil) }

    /// Reads a key file of a daemon.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - user: Whom the daemon becomes, as in the settings: beside root and who it is now, the file may be theirs.
    /// - Returns: The keys.
    /// - Throws: What is wrong with it.
    package static func read(_ path: FilePath, forDaemonOf user: String?) throws(FatalError) -> KeySchedule {
        let identity = try Identity.find(user)
        return try read(path, owners: [0, geteuid()] + (identity.map { [$0.user] } ?? []))
    }

    private static func read(_ path: FilePath, owners: [UInt32]?) throws(FatalError) -> KeySchedule {
        do throws(KeyFileError) {
            return try KeyFile.read(path, owners: owners, opening: FileBroker.open)
        } catch {
            throw FatalError(error)
        }
    }
}
