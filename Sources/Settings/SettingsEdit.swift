// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import SystemPackage

/// A configuration file to which lines are added.
///
/// The existing content is kept byte for byte.
package struct SettingsEdit<Settings: DaemonSettings>: Sendable {
    /// The given path.
    ///
    /// Relative paths in the file refer to its folder.
    package let path: FilePath
    /// The actual file, if the path is a symbolic link.
    package let target: FilePath
    /// The settings before the change.
    package let settings: Settings
    /// The file's permission bits, user and group; nil if the file does not exist yet.
    package let attributes: (mode: UInt16, user: UInt32, group: UInt32)?
    /// The new content.
    package private(set) var text: [UInt8]

    /// Reads and checks the file, or begins a new one.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - beginning: The comment at the start of a new file.
    /// - Throws: `SettingsError`, with all errors in the file.
    package init(_ path: FilePath, beginning: String) throws(SettingsError) {
        self.path = path
        guard let resolved = Self.resolve(path) else {
            target = path
            settings = Settings()
            attributes = nil
            text = Array("# \(beginning)\n".utf8)
            return
        }
        target = resolved
        text = try SettingsText.read(resolved)
        settings = try SettingsFile<Settings>.parse(text, path).settings
        do {
            let status = try Stat(resolved)
            attributes = (
                UInt16(truncatingIfNeeded: status.permissions.rawValue) & 0o7777, status.userID.rawValue,
                status.groupID.rawValue
            )
        } catch {
            throw .system(call: "stat", resolved, error)
        }
    }

    /// Follows symbolic links; nil if the file does not exist.
    private static func resolve(_ path: FilePath) -> FilePath? {
        guard let resolved = unsafe path.withPlatformString({ unsafe realpath($0, nil) }) else { return nil }
        defer { unsafe free(resolved) }
        return FilePath(unsafe String(cString: resolved))
    }

    /// Appends an empty line and these lines.
    package mutating func append(_ lines: String) {
        if let last = text.last, last != UInt8(ascii: "\n") { text.append(UInt8(ascii: "\n")) }
        text += Array("\n\(lines)".utf8)
    }

    /// Inserts lines at the beginning, before all tables.
    package mutating func prepend(_ lines: String) {
        text = Array(lines.utf8) + text
    }

    /// Checks the new content.
    ///
    /// - Returns: The new settings.
    /// - Throws: `SettingsError`, with all errors, including conflicts with the added lines.
    package func check() throws(SettingsError) -> Settings {
        guard text.count <= SettingsText.maximumLength else { throw .tooLong(path) }
        return try SettingsFile<Settings>.parse(text, path).settings
    }
}
