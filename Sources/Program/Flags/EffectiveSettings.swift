// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KeyFiles
internal import KnockProtocol
package import Settings
package import SystemPackage

/// What a daemon is to do: the defaults, a configuration file over them, and flags over that.
package struct EffectiveSettings<Settings: CommonSettings>: Sendable {
    /// The settings.
    package private(set) var settings = Settings()
    /// The configuration file; nil if there is none.
    package private(set) var file: FilePath?
    /// What is right but hardly meant, with its place in the file.
    package private(set) var warnings: [String] = []
    private var origins: [String: SettingOrigin] = [:]

    /// Reads the file.
    ///
    /// - Parameters:
    ///   - path: The file; an empty one for none, nil for the usual one if it is there.
    ///   - usual: The usual one.
    /// - Throws: All that is wrong in the file.
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

    /// - Throws: That it cannot be known; to go without a file that is there would be another configuration.
    private static func exists(_ path: FilePath) throws(FatalError) -> Bool {
        guard unsafe path.withPlatformString({ unsafe access($0, F_OK) }) != 0 else { return true }
        var reason = Errno(rawValue: errno)
        if reason == .permissionDenied {
            // Perhaps it can be read all the same.
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

    /// Puts the value of a flag in the place of a setting; does nothing if the flag was not given.
    mutating func set<Value>(_ setting: WritableKeyPath<Settings, Value>, _ key: String, _ value: Value?) {
        guard let value else { return }
        settings[keyPath: setting] = value
        origins[key] = .flag
    }

    /// As above, for a setting that there need not be.
    mutating func set<Value>(_ setting: WritableKeyPath<Settings, Value?>, _ key: String, _ value: Value??) {
        guard let value else { return }
        settings[keyPath: setting] = value
        origins[key] = .flag
    }

    /// Whether neither the file nor a flag has given a setting.
    func isDefault(_ key: String) -> Bool { origins[key] == nil }

    /// Adds a warning.
    mutating func warn(_ text: String) { warnings.append(text) }

    /// Gives a setting that neither the file nor a flag has given another default.
    mutating func setDefault<Value>(_ setting: WritableKeyPath<Settings, Value>, _ key: String, _ value: Value) {
        if origins[key] == nil { settings[keyPath: setting] = value }
    }

    /// Looks for what does not go together once flags have been put in.
    func check() throws(FatalError) {
        let conflicts = settings.conflicts().map(\.text)
        guard conflicts.isEmpty else {
            let place = file.map { "flags over \($0): " } ?? "flags: "
            throw FatalError(place + conflicts.joined(separator: "\n" + place), status: EX_USAGE)
        }
    }

    /// The settings in the syntax of the file, with comments that say where they come from.
    package var text: String {
        var writer = SettingsWriter(origins: origins)
        settings.write(to: &writer)
        return writer.text
    }
}

extension FatalError {
    /// Chooses the exit status for a configuration file that cannot be used.
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
