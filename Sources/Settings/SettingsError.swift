// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// Something wrong in a configuration file.
package struct SettingsProblem: Equatable, Sendable {
    /// Where; nil if that cannot be told.
    package let position: TextPosition?
    /// The key that it is about, such as `guest.ports`; nil for syntax errors.
    package let key: String?
    /// What is wrong and what to do.
    package let text: String

    /// `FILE:LINE:COLUMN: text`, as compilers have it.
    package func description(in file: FilePath) -> String {
        guard let position else { return "\(file): \(text)" }
        return "\(file):\(position.line):\(position.column): \(text)"
    }
}

/// Two settings that do not go together, or one that is wrong by itself, wherever they were given.
package struct SettingsConflict: Equatable, Sendable {
    /// The setting to change.
    package let location: SettingsLocation
    /// What is wrong and what to do.
    package let text: String
}

/// Where in the settings something is.
package struct SettingsLocation: Hashable, Sendable {
    /// Counts the guests or targets from 0; nil for what is not in one.
    package let table: Int?
    /// The key.
    package let key: String

    init(_ key: String, in table: Int? = nil) {
        self.table = table
        self.key = key
    }
}

/// Why settings cannot be used.
package enum SettingsError: Error, Equatable, CustomStringConvertible {
    /// A system call on the file failed.
    case system(call: String, FilePath, Errno)
    /// The file is a folder, device, pipe or socket.
    case notARegularFile(FilePath)
    /// The file belongs to somebody else, whose commands it could have run; the user id.
    case foreign(FilePath, owner: UInt32)
    /// Group or others may write the file; the permission bits.
    case writableByOthers(FilePath, mode: UInt16)
    /// The file is longer than `SettingsText.maximumLength`.
    case tooLong(FilePath)
    /// What is wrong in the file: the first ones, in their order, and how many there are.
    case problems(FilePath, [SettingsProblem], count: Int)

    /// What is wrong, where, and what to do.
    package var description: String {
        switch self {
        case .system("open", let path, .noSuchFileOrDirectory):
            "configuration file \(path): there is no such file"
        case .system(let call, let path, let errno):
            "configuration file \(path): \(call): \(errno)"
        case .notARegularFile(let path):
            "configuration file \(path): not a regular file"
        case .foreign(let path, let owner):
            "configuration file \(path): it belongs to user \(owner), who could have commands run by it; if the content "
                + "is right, 'chown root \(path)'"
        case .writableByOthers(let path, let mode):
            "configuration file \(path): group or others may write it (mode 0\(String(mode, radix: 8))), and commands "
                + "in it are run; if the content is right, 'chmod go-w \(path)'"
        case .tooLong(let path):
            "configuration file \(path): longer than \(SettingsText.maximumLength) bytes, which none needs to be"
        case .problems(let path, let problems, let count):
            Self.list(problems.map { $0.description(in: path) }, more: count - problems.count)
        }
    }

    private static func list(_ lines: [String], more: Int) -> String {
        guard more > 0 else { return lines.joined(separator: "\n") }
        return (lines + ["and \(more) more"]).joined(separator: "\n")
    }
}
