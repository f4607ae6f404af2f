// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import SystemPackage

/// Settings as a file has them.
package struct SettingsFile<Settings: CommonSettings>: Sendable {
    /// The settings, with the defaults for what the file does not say.
    package let settings: Settings
    /// The keys at the top of the file that it gives.
    package let given: Set<String>
    /// What is right but hardly meant.
    package let warnings: [SettingsProblem]

    /// Reads and checks a file.
    ///
    /// - Parameters:
    ///   - path: The file. Relative paths in it are relative to its folder.
    ///   - now: Seconds since 1970, to warn of what has expired; nil: the system's time.
    ///   - opening: What opens the file for reading.
    /// - Returns: The settings and what is said with them.
    /// - Throws: `SettingsError`, with all that is wrong.
    package static func read(
        _ path: FilePath, now: Int64? = nil, opening: FileOpening.Way = FileOpening.open
    ) throws(SettingsError) -> SettingsFile {
        try parse(try SettingsText.read(path, opening: opening), path, now: now)
    }

    /// Checks what is, or is to be, the content of a file.
    ///
    /// - Parameters:
    ///   - text: The content.
    ///   - path: The file. Relative paths in it are relative to its folder.
    ///   - now: Seconds since 1970, to warn of what has expired; nil: the system's time.
    /// - Returns: The settings and what is said with them.
    /// - Throws: `SettingsError.problems`.
    package static func parse(
        _ text: [UInt8], _ path: FilePath, now: Int64? = nil
    ) throws(SettingsError) -> SettingsFile {
        let problems = ProblemList()
        let table = TableReader(try parseEntries(text, path), folder: SettingsText.folder(of: path), problems)
        var settings = Settings()
        settings.take(table, now: now ?? Int64(time(nil)))
        table.refuseUnknownKeys()
        for conflict in settings.conflicts() where !problems.hides(conflict) { problems.add(conflict) }
        guard problems.all.isEmpty else {
            let sorted = problems.inOrder
            throw .problems(path, Array(sorted.prefix(ProblemList.limit)), count: sorted.count)
        }
        return SettingsFile(settings: settings, given: table.given, warnings: problems.warnings)
    }
}

/// Parses a document, and tells an error as that of a file.
func parseEntries(_ text: [UInt8], _ path: FilePath) throws(SettingsError) -> [TOMLEntry] {
    do throws(TOMLSyntaxError) {
        return try parseTOML(text)
    } catch {
        throw .problems(path, [error.problem], count: 1)
    }
}

extension TOMLSyntaxError {
    fileprivate var problem: SettingsProblem {
        let advice = text.contains("cannot redefine") ? "; each key can be there only once" : ""
        return SettingsProblem(position: position, key: nil, text: "no TOML: \(text.printable)\(advice)")
    }
}

extension CommonSettings {
    /// Reads and checks a configuration file.
    ///
    /// - Throws: `SettingsError`, with all that is wrong.
    package static func read(_ path: FilePath) throws(SettingsError) -> Self {
        try SettingsFile<Self>.read(path).settings
    }
}
