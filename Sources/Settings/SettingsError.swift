// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// An error or a warning about a configuration file.
package struct SettingsProblem: Equatable, Sendable {
    /// The position; nil if it is unknown.
    package let position: TextPosition?
    /// The key concerned, such as `guest.ports`; nil for syntax errors.
    package let key: String?
    /// The message: what is wrong and what to do.
    package let text: String

    /// Returns `FILE:LINE:COLUMN: text`, in the manner of compilers.
    package func description(in file: FilePath) -> String {
        guard let position else { return "\(file): \(text)" }
        return "\(file):\(position.line):\(position.column): \(text)"
    }
}

/// Two settings that contradict each other, or one that is invalid by itself, whether from the file or from flags.
package struct SettingsConflict: Equatable, Sendable {
    /// The setting to change.
    package let location: SettingsLocation
    /// The message: what is wrong and what to do.
    package let text: String
}

/// The location of a setting.
package struct SettingsLocation: Hashable, Sendable {
    /// The index of the guest or target, counted from 0; nil for settings outside of one.
    package let table: Int?
    /// The key.
    package let key: String

    init(_ key: String, in table: Int? = nil) {
        self.table = table
        self.key = key
    }
}

/// The reason why settings cannot be used.
package enum SettingsError: Error, Equatable, CustomStringConvertible {
    /// A system call on the file failed.
    case system(call: String, FilePath, Errno)
    /// The file is a folder, device, pipe or socket.
    case notARegularFile(FilePath)
    /// The file belongs to another user, who could have commands run by it; with the user ID.
    case foreign(FilePath, owner: UInt32)
    /// The group or others may write to the file; with the permission bits.
    case writableByOthers(FilePath, mode: UInt16)
    /// The file is longer than `SettingsText.maximumLength`.
    case tooLong(FilePath)
    /// The file has errors; with the first ones in order, and their total number.
    case problems(FilePath, [SettingsProblem], count: Int)

    /// The message: what is wrong, where, and what to do.
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
