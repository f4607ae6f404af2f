// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import SystemPackage

/// A configuration file that something is to be added to; what is there stays byte for byte.
package struct SettingsEdit<Settings: CommonSettings>: Sendable {
    /// The path that was given: paths in the file start from its folder.
    package let path: FilePath
    /// The file itself, if that path is a symbolic link.
    package let target: FilePath
    /// What it says before.
    package let settings: Settings
    /// Its permission bits, user and group; nil if there is none yet.
    package let attributes: (mode: UInt16, user: UInt32, group: UInt32)?
    /// The new content.
    package private(set) var text: [UInt8]

    /// Reads and checks the file, or begins a new one.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - beginning: The comment with which a new file begins.
    /// - Throws: `SettingsError`, with all that is wrong.
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

    /// Follows symbolic links; nil if there is no file.
    private static func resolve(_ path: FilePath) -> FilePath? {
        guard let resolved = unsafe path.withPlatformString({ unsafe realpath($0, nil) }) else { return nil }
        defer { unsafe free(resolved) }
        return FilePath(unsafe String(cString: resolved))
    }

    /// Adds lines at the end, with an empty one before them.
    package mutating func append(_ lines: String) {
        if let last = text.last, last != UInt8(ascii: "\n") { text.append(UInt8(ascii: "\n")) }
        text += Array("\n\(lines)".utf8)
    }

    /// Adds lines at the beginning, which is before all tables.
    package mutating func prepend(_ lines: String) {
        text = Array(lines.utf8) + text
    }

    /// Checks the new content.
    ///
    /// - Returns: What it says.
    /// - Throws: `SettingsError`, with what the addition does not go together with.
    package func check() throws(SettingsError) -> Settings {
        guard text.count <= SettingsText.maximumLength else { throw .tooLong(path) }
        return try SettingsFile<Settings>.parse(text, path).settings
    }
}
