// SPDX-License-Identifier: GPL-2.0-or-later
import Daemon
import Diagnosis
import KnockProtocol
import SystemPackage

/// Reads key files; each key is called by its path.
func readKeys(_ paths: [String]) throws(FatalError) -> [NamedKey] {
    var keys: [NamedKey] = []
    for path in paths {
        do throws(KeyFileError) {
            keys.append(NamedKey(name: path, keys: try KeyFile.read(FilePath(path))))
        } catch {
            throw FatalError(error)
        }
    }
    return keys
}
