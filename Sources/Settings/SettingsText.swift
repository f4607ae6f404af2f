// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import SystemPackage

/// Reads the content of configuration files.
package enum SettingsText {
    /// The longest configuration file, in bytes.
    package static let maximumLength = 1 << 20

    /// Reads a configuration file, if only root and this user could have written it, because its hooks are run.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - opening: Opens the file for reading.
    /// - Returns: The bytes of the file.
    /// - Throws: `SettingsError`, except `problems`.
    package static func read(
        _ path: FilePath, opening: FileOpening.Way = FileOpening.open
    ) throws(SettingsError) -> [UInt8] {
        let file: FileDescriptor
        do throws(Errno) {
            // Without nonBlocking, opening a pipe would wait for a writer before it can be refused.
            file = try opening(path, [.closeOnExec, .nonBlocking])
        } catch {
            throw .system(call: "open", path, error)
        }
        defer { try? file.close() }
        try check(file, path)
        let text: [UInt8]
        do throws(Errno) {
            text = try file.content(limit: maximumLength + 1)
        } catch {
            throw .system(call: "read", path, error)
        }
        guard text.count <= maximumLength else { throw .tooLong(path) }
        return text
    }

    /// Returns the folder of a file as an absolute path.
    static func folder(of path: FilePath) -> FilePath {
        let folder = path.removingLastComponent()
        guard folder.isRelative else { return folder }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&buffer, buffer.count) != nil else { return folder }
        let current = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return FilePath(current).pushing(folder)
    }

    private static func check(_ file: FileDescriptor, _ path: FilePath) throws(SettingsError) {
        let status: Stat
        do {
            status = try Stat(file)
        } catch {
            throw .system(call: "fstat", path, error)
        }
        guard status.type == .regular else { throw .notARegularFile(path) }
        let owner = status.userID.rawValue
        guard owner == 0 || owner == geteuid() else { throw .foreign(path, owner: owner) }
        let mode = UInt16(truncatingIfNeeded: status.permissions.rawValue) & 0o7777
        guard mode & 0o022 == 0 else { throw .writableByOthers(path, mode: mode) }
        guard status.size <= maximumLength else { throw .tooLong(path) }
    }
}
