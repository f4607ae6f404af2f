// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import SystemPackage

/// The settings read from a configuration file.
package struct SettingsFile<Settings: DaemonSettings>: Sendable {
    /// The settings, with defaults for those not in the file.
    package let settings: Settings
    /// The top-level keys present in the file.
    package let given: Set<String>
    /// The warnings about settings that are valid but probably not intended.
    package let warnings: [SettingsProblem]

    /// Reads and checks a file.
    ///
    /// - Parameters:
    ///   - path: The file. Relative paths in it refer to its folder.
    ///   - instance: The name of the daemon, if the host runs several.
    ///   - now: The time in seconds since 1970, for warnings about expired guests; nil for the system's time.
    ///   - opening: Opens the file for reading.
    /// - Returns: The settings and the warnings.
    /// - Throws: `SettingsError`, with all errors in the file.
    package static func read(
        _ path: FilePath, of instance: String? = nil, now: Int64? = nil, opening: FileOpening.Way = FileOpening.open
    ) throws(SettingsError) -> SettingsFile {
        try parse(try SettingsText.read(path, opening: opening), path, of: instance, now: now)
    }

    /// Checks the existing or future content of a file.
    ///
    /// - Parameters:
    ///   - text: The content.
    ///   - path: The file. Relative paths in it refer to its folder.
    ///   - instance: The name of the daemon, if the host runs several.
    ///   - now: The time in seconds since 1970, for warnings about expired guests; nil for the system's time.
    /// - Returns: The settings and the warnings.
    /// - Throws: `SettingsError.problems`, with all errors in the content.
    package static func parse(
        _ text: [UInt8], _ path: FilePath, of instance: String? = nil, now: Int64? = nil
    ) throws(SettingsError) -> SettingsFile {
        let problems = ProblemList()
        let table = TableReader(try parseEntries(text, path), folder: SettingsText.folder(of: path), problems)
        var settings = Settings(instance: instance)
        settings.take(table)
        table.refuseUnknownKeys()
        for conflict in settings.conflicts where !problems.hides(conflict) { problems.add(conflict) }
        guard problems.all.isEmpty else {
            let sorted = problems.inOrder
            throw .problems(path, sorted)
        }
        for doubt in settings.doubts(at: now ?? Int64(time(nil))) { problems.warn(doubt) }
        return SettingsFile(settings: settings, given: table.given, warnings: problems.warnings)
    }
}

/// Parses a document, and converts a syntax error to an error about the file.
func parseEntries(_ text: [UInt8], _ path: FilePath) throws(SettingsError) -> [TOMLEntry] {
    do throws(TOMLSyntaxError) {
        return try parseTOML(text)
    } catch {
        throw .problems(path, [error.problem])
    }
}

extension TOMLSyntaxError {
    fileprivate var problem: SettingsProblem {
        let advice = text.contains("cannot redefine") ? "; each key can be there only once" : ""
        return SettingsProblem(position: position, key: nil, text: "no TOML: \(text.printable)\(advice)")
    }
}
