// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Linux
package import Settings
package import SystemPackage

/// The settings in effect: the defaults, overridden by a configuration file, overridden by flags.
package struct EffectiveSettings<Settings: DaemonSettings>: Sendable {
    /// The settings.
    package private(set) var settings: Settings
    /// The configuration file; nil if there is none.
    package private(set) var file: FilePath?
    /// The warnings about settings that are valid but probably not intended, with their places in the file.
    package private(set) var warnings: [String] = []
    private var origins: [String: SettingOrigin] = [:]

    /// Reads the configuration file.
    ///
    /// - Parameters:
    ///   - path: The file; empty for none; nil for the default file, if it exists.
    ///   - instance: The name of the daemon, if the host runs several; nil for the one without a name.
    /// - Throws: All errors in the file.
    package init(file path: String?, instance: String? = nil) throws(FatalError) {
        settings = Settings(instance: instance)
        let usual = Settings.defaultFile(of: instance)
        let path = if let path { FilePath(path) } else { try Self.exists(usual) ? usual : "" }
        guard !path.isEmpty else { return }
        let content = try fatally { () throws(SettingsError) in
            try SettingsFile<Settings>.read(path, of: instance, opening: FileBroker.open)
        }
        settings = content.settings
        warnings = content.warnings.map { "\($0.report(in: path))" }
        for key in content.given { origins[key] = .file }
        file = path
    }

    /// - Throws: `FatalError` if that cannot be determined. Ignoring a file that exists would be a different
    ///   configuration.
    private static func exists(_ path: FilePath) throws(FatalError) -> Bool {
        guard var reason = path.absence else { return true }
        if reason == .permissionDenied {
            // It may be readable all the same.
            do throws(Errno) {
                let file = try FileBroker.open(path, [.closeOnExec, .nonBlocking])
                try? file.close()
                return true
            } catch {
                reason = error
            }
        }
        if [.noSuchFileOrDirectory, .notDirectory].contains(reason) { return false }
        throw FatalError(
            "\(reason)", at: "\(path)", cure: geteuid() == 0 ? nil : "the configuration is root's, so run this as root",
            status: .noPermission)
    }

    /// Overrides settings with the flags that were given.
    mutating func apply(_ flags: SettingFlags<Settings>) {
        // The flags were checked when they were parsed.
        for setting in Settings.settings where (try? flags.take(setting, into: &settings)) == true {
            if let key = setting.key { origins[key] = .flag }
        }
    }

    /// Sets the user if neither the file nor a flag has set one, and the host has it.
    mutating func setDefault(user: String) {
        guard origins["user"] == nil else { return }
        if Identity.canBecome(user) {
            settings.user = user
        } else {
            warnings.append("the daemon does not become \"\(user)\": this host has no such user")
        }
    }

    /// Checks for conflicts after the flags were applied.
    func check() throws(FatalError) {
        let conflicts = settings.conflicts
        guard conflicts.isEmpty else {
            let place = file.map { "flags over \($0)" } ?? "flags"
            throw FatalError(conflicts.map { FatalError($0.text, at: place, status: .usage) }, status: .usage)
        }
    }

    /// The settings in the syntax of the file, with comments that state their origins.
    package var text: String { settings.text(origins: origins) }
}
