// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
internal import KnockProtocol
package import Linux
package import Settings
package import SystemPackage

/// The flags of a daemon.
package struct DaemonFlags<Settings: DaemonSettings>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Configuration file; '' for none. (default: \(Settings.defaultFile), if it exists)",
            valueName: "path"), completion: .file())
    var config: String?

    @Flag(help: "Check configuration and key files, print the settings in force as a configuration file, and exit.")
    package var check = false

    @Flag(help: "Print a configuration file in which every setting is explained, and exit.")
    package var sample = false

    @Flag(
        name: [.customLong("firewall-flags"), .customLong("firewall_flags")],
        help: "Print the flags that the firewall script needs for this configuration, and exit.")
    package var firewallFlags = false

    @Option(
        name: [.customLong("default-user"), .customLong("default_user")],
        help: ArgumentHelp(
            "User to run as when the configuration names none, if the host has such a user and root starts it.",
            valueName: "name[:group]"),
        transform: { try ValueKind.userOrNone.argument($0) })
    var defaultUser: String?

    @Flag(name: .customLong("open-files"), help: .hidden)
    var opensFiles = false

    @OptionGroup var settingFlags: SettingFlags<Settings>

    /// Creates flags as if none were given.
    package init() {}

    /// Reads the configuration file and applies the flags.
    ///
    /// Can be called again to read a changed file.
    ///
    /// - Throws: All errors in the file, or in its combination with the flags.
    package func effectiveSettings() throws(FatalError) -> EffectiveSettings<Settings> {
        var settings = try EffectiveSettings<Settings>(file: config, instance: instance)
        settings.apply(settingFlags)
        if let defaultUser { settings.setDefault(user: defaultUser) }
        try settings.check()
        return settings
    }

    /// The name of the daemon if the host runs several; nil for the one without a name.
    private var instance: String? { settingFlags.withoutKeys.instance }

    /// The configuration file that is read if it exists and no other is named.
    package var usualFile: FilePath { Settings.defaultFile(of: instance) }

    /// The configuration file: the named one, or the default one, which need not exist.
    var configurationFile: FilePath { config.map { FilePath($0) } ?? usualFile }

    /// Returns only the settings.
    package func settings() throws(FatalError) -> Settings { try effectiveSettings().settings }

    /// Does what the flags ask for other than to run as a daemon.
    ///
    /// - Returns: Whether there was such a flag, so that the program should exit.
    /// - Throws: What is wrong. The exit status of `--check` is that of a wrong configuration.
    package func answer() throws(FatalError) -> Bool {
        if opensFiles {
            try FileBroker.serve(self)
        } else if check {
            try checkAll()
        } else if firewallFlags {
            StandardOutput.write(try settings().firewallFlags.joined(separator: " ") + "\n")
        } else if sample {
            StandardOutput.write(Settings.sample)
        } else {
            return false
        }
        return true
    }

    private func checkAll() throws(FatalError) {
        do throws(FatalError) {
            let effective = try effectiveSettings()
            try Self.checkKeys(effective.settings)
            for warning in effective.warnings { StandardError.write("\(Settings.program): warning: \(warning)\n") }
            let file = effective.file.map { "read \($0)" } ?? "no configuration file"
            StandardOutput.write("# \(Settings.program) \(version), \(file)\n\(effective.text)")
        } catch {
            throw error.exiting(with: .configuration)
        }
    }

    /// Reads all keys, and checks that they differ if they must.
    private static func checkKeys(_ settings: Settings) throws(FatalError) {
        var wrong: [FatalError] = []
        var owners: [String: String] = [:]
        for (owner, path) in settings.keyFiles {
            do throws(FatalError) {
                let fingerprint = try KeySchedule.read(path, forDaemonOf: settings.user).fingerprint
                if let other = owners.updateValue(owner, forKey: fingerprint), Settings.keysMustDiffer {
                    wrong.append(
                        FatalError(
                            "the same key as \(other) has", at: owner, cure: "each needs one of their own",
                            status: .configuration))
                }
            } catch {
                wrong.append(error)
            }
        }
        guard wrong.isEmpty else { throw FatalError(wrong, status: .configuration) }
    }
}
