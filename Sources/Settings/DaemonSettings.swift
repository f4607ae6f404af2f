// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// The settings of a daemon.
///
/// Those that both daemons share are members of it too.
@dynamicMemberLookup
package protocol DaemonSettings: Equatable, SettingOwner {
    /// The settings that both daemons share.
    var shared: SharedSettings { get set }

    /// Creates settings with all defaults.
    ///
    /// - Parameter instance: The name of the daemon, if the host runs several; nil for the one without a name.
    init(instance: String?)

    /// The name of the daemon's program.
    static var program: String { get }
    /// All settings, in the order of the file.
    static var settings: [Setting<Self>] { get }
    /// All kinds of tables that can be there several times.
    static var tables: [SettingTable<Self>] { get }
    /// Returns the file that is read if it exists and no other is named.
    static func defaultFile(of instance: String?) -> FilePath
    /// Whether two key files with the same content are an error.
    static var keysMustDiffer: Bool { get }

    /// The name of the daemon, if the host runs several; nil for the one without a name.
    var instance: String? { get }
    /// All key files, each with a name for its owner.
    var keyFiles: [(owner: String, path: FilePath)] { get }
    /// The settings, with those filled in that follow from others.
    var filled: Self { get }
    /// The settings as the firewall scripts see them.
    var forFirewall: Self { get }
    /// The conflicts between the settings, besides those that both daemons share.
    var ownConflicts: [SettingsConflict] { get }
    /// Returns what is valid but probably not intended, at a time in seconds since 1970.
    func doubts(at now: Int64) -> [SettingsConflict]
}

extension DaemonSettings {
    /// Creates settings with all defaults, for a daemon without a name.
    package init() { self.init(instance: nil) }

    package static var defaults: Self { Self() }

    /// A setting that both daemons share.
    package subscript<Value>(dynamicMember path: WritableKeyPath<SharedSettings, Value>) -> Value {
        get { shared[keyPath: path] }
        set { shared[keyPath: path] = newValue }
    }

    /// The file that is read for a daemon without a name if it exists and no other is named.
    package static var defaultFile: FilePath { defaultFile(of: nil) }

    /// Reads all settings from a table, and records what is wrong.
    mutating func take(_ table: TableReader) {
        for setting in Self.settings { setting.read(from: table, into: &self) }
        for tables in Self.tables { tables.read(table, &self) }
    }

    /// The conflicts between the settings.
    package var conflicts: [SettingsConflict] { shared.conflicts + ownConflicts }

    /// Returns the settings in the syntax of the file.
    ///
    /// - Parameter origins: The origins of the values by key, written as comments. Missing keys have their defaults.
    ///   If nil, no comments are written.
    /// - Returns: The lines.
    package func text(origins: [String: SettingOrigin]? = nil) -> String {
        let filled = filled
        var lines = Self.settings.compactMap { setting -> String? in
            guard let key = setting.key, let line = setting.line(of: filled) else { return nil }
            return line + (origins.map { "  # \(($0[key] ?? .default).rawValue)" } ?? "")
        }
        lines += Self.tables.flatMap { $0.write(filled) }
        return lines.map { $0 + "\n" }.joined()
    }

    /// The flags for the firewall script.
    package var firewallFlags: [String] { firewallFlags(withDefaults: true) }

    /// Returns the flags for the firewall script.
    ///
    /// - Parameter withDefaults: Whether the most important ones are among them even if they are the defaults.
    /// - Returns: Flags and values by turns.
    package func firewallFlags(withDefaults: Bool) -> [String] {
        let (seen, defaults) = (forFirewall, Self())
        return Self.settings.flatMap { setting -> [String] in
            let isTold =
                switch setting.firewall {
                case .none: false
                case .always where withDefaults: true
                case .always, .unlessDefault: !setting.isEqual(seen, defaults)
                }
            return (isTold ? setting.literal(of: seen)?.words ?? [] : []).flatMap { ["--\(setting.flag.name)", $0] }
        }
    }

    /// Retains the old values of the settings that cannot change while the daemon runs.
    ///
    /// - Parameter old: The settings in force.
    /// - Returns: The keys of those that would have changed.
    package mutating func retainFixed(from old: Self) -> [String] {
        let changed = Self.settings.filter { $0.change == .atStart && !$0.isEqual(self, old) }
        for setting in changed { setting.copy(from: old, to: &self) }
        return changed.compactMap(\.key)
    }
}
