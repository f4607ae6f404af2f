// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KnockProtocol
internal import Linux
package import Settings
package import SystemPackage

/// The settings in effect: the defaults, overridden by a configuration file, overridden by flags.
package struct EffectiveSettings<Settings: CommonSettings>: Sendable {
    /// The settings.
    package private(set) var settings = Settings()
    /// The configuration file; nil if there is none.
    package private(set) var file: FilePath?
    /// The warnings about settings that are valid but probably not intended, with their places in the file.
    package private(set) var warnings: [String] = []
    private var origins: [String: SettingOrigin] = [:]

    /// Reads the configuration file.
    ///
    /// - Parameters:
    ///   - path: The file; empty for none; nil for the default file, if it exists.
    ///   - usual: The default file.
    /// - Throws: All errors in the file.
    package init(file path: String?, usual: FilePath = Settings.defaultFile) throws(FatalError) {
        let path = if let path { FilePath(path) } else { try Self.exists(usual) ? usual : "" }
        guard !path.isEmpty else { return }
        do throws(SettingsError) {
            let content = try SettingsFile<Settings>.read(path, opening: FileBroker.open)
            settings = content.settings
            warnings = content.warnings.map { $0.description(in: path) }
            for key in content.given { origins[key] = .file }
            file = path
        } catch {
            throw FatalError(error)
        }
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
            "\(path): \(reason)" + (geteuid() == 0 ? "" : "; the configuration is root's, so run this as root"),
            status: EX_NOPERM)
    }

    /// Overrides a setting with the value of a flag.
    ///
    /// Does nothing if the flag was not given.
    mutating func set<Value>(_ setting: WritableKeyPath<Settings, Value>, _ key: String, _ value: Value?) {
        guard let value else { return }
        settings[keyPath: setting] = value
        origins[key] = .flag
    }

    /// Overrides an optional setting with the value of a flag.
    ///
    /// Does nothing if the flag was not given.
    mutating func set<Value>(_ setting: WritableKeyPath<Settings, Value?>, _ key: String, _ value: Value??) {
        guard let value else { return }
        settings[keyPath: setting] = value
        origins[key] = .flag
    }

    /// Returns whether neither the file nor a flag has set a setting.
    func isDefault(_ key: String) -> Bool { origins[key] == nil }

    /// Adds a warning.
    mutating func warn(_ text: String) { warnings.append(text) }

    /// Changes the default of a setting.
    ///
    /// Does nothing if the file or a flag has set it.
    mutating func setDefault<Value>(_ setting: WritableKeyPath<Settings, Value>, _ key: String, _ value: Value) {
        if origins[key] == nil { settings[keyPath: setting] = value }
    }

    /// Checks for conflicts after the flags were applied.
    func check() throws(FatalError) {
        let conflicts = settings.conflicts().map(\.text)
        guard conflicts.isEmpty else {
            let place = file.map { "flags over \($0): " } ?? "flags: "
            throw FatalError(place + conflicts.joined(separator: "\n" + place), status: EX_USAGE)
        }
    }

    /// The settings in the syntax of the file, with comments that state their origins.
    package var text: String {
        var writer = SettingsWriter(origins: origins)
        settings.write(to: &writer)
        return writer.text
    }
}

extension FatalError {
    /// Creates an error with the exit status for a configuration file that cannot be used.
    package init(_ error: SettingsError) {
        let status =
            switch error {
            case .system(_, _, .permissionDenied), .system(_, _, .notPermitted): EX_NOPERM
            case .system("open", _, .noSuchFileOrDirectory): EX_NOINPUT
            case .system: EX_IOERR
            case .notARegularFile, .foreign, .writableByOthers, .tooLong, .problems: EX_CONFIG
            }
        self.init(error.description, status: status)
    }
}
