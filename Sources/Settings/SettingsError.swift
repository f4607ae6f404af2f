// SPDX-License-Identifier: GPL-2.0-or-later
package import Linux
package import SystemPackage

/// The reason why settings cannot be used.
package enum SettingsError: ReportableError, Equatable {
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
    /// The file has errors; in order.
    case problems(FilePath, [SettingsProblem])

    package var fatal: FatalError {
        switch self {
        case .system("open", let path, .noSuchFileOrDirectory):
            FatalError("there is no such file", at: Self.place(path), status: .noInput)
        case .system(let call, let path, let errno):
            FatalError(call, errno, at: Self.place(path))
        case .notARegularFile(let path):
            FatalError("not a regular file", at: Self.place(path), status: .configuration)
        case .foreign(let path, let owner):
            FatalError(
                "it belongs to user \(owner), who could have commands run by it", at: Self.place(path),
                cure: "if the content is right, 'chown root \(path)'", status: .configuration)
        case .writableByOthers(let path, let mode):
            FatalError(
                "group or others may write it (mode 0\(String(mode, radix: 8))), and commands in it are run",
                at: Self.place(path), cure: "if the content is right, 'chmod go-w \(path)'", status: .configuration)
        case .tooLong(let path):
            FatalError(
                "longer than \(SettingsText.maximumLength) bytes, which none needs to be", at: Self.place(path),
                status: .configuration)
        case .problems(let path, let problems):
            FatalError(Self.list(problems.map { $0.report(in: path) }), status: .configuration)
        }
    }

    private static func list(_ problems: [FatalError]) -> [FatalError] {
        let more = problems.count - ProblemList.limit
        guard more > 0 else { return problems }
        return problems.prefix(ProblemList.limit) + [FatalError("and \(more) more", status: .configuration)]
    }

    private static func place(_ path: FilePath) -> String { "configuration file \(path)" }
}
