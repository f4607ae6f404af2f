// SPDX-License-Identifier: GPL-2.0-or-later
package import ArgumentParser
internal import Glibc
internal import KnockProtocol
package import Settings
package import SystemPackage

/// The flags of a daemon.
package protocol DaemonFlags: ParsableArguments {
    associatedtype Settings: CommonSettings

    /// The flags that both daemons share.
    var common: CommonOptions { get }
    /// The configuration file that is read if it exists and no other is named.
    var usualFile: FilePath { get }
    /// Overrides the settings of the configuration file with the flags.
    func apply(to settings: inout EffectiveSettings<Settings>)
    /// Whether two key files with the same content are an error.
    static var keysMustDiffer: Bool { get }
    /// Returns all key files of the settings, each with a name for its owner.
    static func keyFiles(_ settings: Settings) -> [(owner: String, path: FilePath)]
}

extension DaemonFlags {
    package var usualFile: FilePath { Settings.defaultFile }

    /// Reads the configuration file and applies the flags.
    ///
    /// Can be called again to read a changed file.
    ///
    /// - Throws: All errors in the file, or in its combination with the flags.
    package func effectiveSettings() throws(FatalError) -> EffectiveSettings<Settings> {
        var settings = try EffectiveSettings<Settings>(file: common.config, usual: usualFile)
        common.apply(to: &settings)
        apply(to: &settings)
        try settings.check()
        return settings
    }

    /// The configuration file: the named one, or the default one, which need not exist.
    var configurationFile: FilePath { common.config.map { FilePath($0) } ?? usualFile }

    /// Returns only the settings.
    package func settings() throws(FatalError) -> Settings { try effectiveSettings().settings }

    /// Carries out `--check`, `--firewall-flags` or `--open-files`, if given.
    ///
    /// - Parameter program: The name of the program, for warnings.
    /// - Returns: Whether one of them was given, so that the program should exit.
    /// - Throws: What is wrong. The exit status of `--check` is that of a wrong configuration.
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

    /// Reads all keys, and checks that they differ if they must.
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
