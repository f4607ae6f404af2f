// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
internal import Glibc
internal import KnockProtocol
package import Settings
package import SystemPackage

/// The flags of a daemon.
package protocol DaemonFlags: ParsableArguments {
    associatedtype Settings: CommonSettings

    /// Those that both daemons have.
    var common: CommonOptions { get }
    /// The configuration file that is read where it exists and no other is named.
    var usualFile: FilePath { get }
    /// Puts the flags in the place of what the configuration file says.
    func apply(to settings: inout EffectiveSettings<Settings>)
    /// Whether the content of no two key files may be the same.
    static var keysMustDiffer: Bool { get }
    /// All key files of the settings, with what to call their owners.
    static func keyFiles(_ settings: Settings) -> [(owner: String, path: FilePath)]
}

extension DaemonFlags {
    package var usualFile: FilePath { Settings.defaultFile }

    /// Reads the configuration file, and puts the flags over it; may be called again to see a file that has changed.
    ///
    /// - Throws: All that is wrong in the file, or with the flags over it.
    package func effectiveSettings() throws(FatalError) -> EffectiveSettings<Settings> {
        var settings = try EffectiveSettings<Settings>(file: common.config, usual: usualFile)
        common.apply(to: &settings)
        apply(to: &settings)
        try settings.check()
        return settings
    }

    /// The configuration file, if one is named or the usual one is there.
    var configurationFile: FilePath { common.config.map { FilePath($0) } ?? usualFile }

    /// The settings alone.
    package func settings() throws(FatalError) -> Settings { try effectiveSettings().settings }

    /// Does what `--check` or `--firewall-flags` ask for.
    ///
    /// - Parameter program: The name of the program, for warnings.
    /// - Returns: Whether that was all that there was to do.
    /// - Throws: What is wrong; the exit status of `--check` is that of a wrong configuration.
    package func answer(as program: String) throws(FatalError) -> Bool {
        if common.opensFiles {
            try FileBroker.serve(self)
        } else if common.check {
            try check(as: program)
        } else if common.firewallFlags {
            StandardOutput.write(try settings().firewallFlags.joined(separator: " ") + "\n")
        }
        return common.check || common.firewallFlags || common.opensFiles
    }

    private func check(as program: String) throws(FatalError) {
        do throws(FatalError) {
            let effective = try effectiveSettings()
            try Self.checkKeys(effective.settings)
            for warning in effective.warnings { StandardError.write("\(program): warning: \(warning)\n") }
            let file = effective.file.map { "read \($0)" } ?? "no configuration file"
            StandardOutput.write("# \(program) \(version), \(file)\n\(effective.text)")
        } catch {
            throw FatalError(error.description, status: EX_CONFIG)
        }
    }

    /// Reads all keys.
    private static func checkKeys(_ settings: Settings) throws(FatalError) {
        var wrong: [String] = []
        var owners: [String: String] = [:]
        for (owner, path) in keyFiles(settings) {
            do throws(FatalError) {
                let fingerprint = try KeySchedule.read(path, forDaemonOf: settings.user).fingerprint
                if let other = owners.updateValue(owner, forKey: fingerprint), keysMustDiffer {
                    wrong.append("\(owner): the same key as \(other) has; each needs one of their own")
                }
            } catch {
                wrong.append(error.description)
            }
        }
        guard wrong.isEmpty else { throw FatalError(wrong.joined(separator: "\n"), status: EX_CONFIG) }
    }
}
