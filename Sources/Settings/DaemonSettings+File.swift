// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
package import SystemPackage

extension DaemonSettings {
    /// Reads and checks a configuration file.
    ///
    /// - Throws: `SettingsError`, with all errors in the file.
    package static func read(_ path: FilePath) throws(SettingsError) -> Self {
        try SettingsFile<Self>.read(path).settings
    }
}
