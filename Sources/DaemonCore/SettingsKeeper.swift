// SPDX-License-Identifier: GPL-2.0-or-later
package import Settings

/// Retains the old values of settings that cannot change while a daemon runs.
package struct SettingsKeeper<Settings: CommonSettings> {
    /// The settings to be put in force.
    private(set) var settings: Settings
    /// The settings that would have changed, by their names in the file.
    private(set) var kept: [String] = []
    private let old: Settings

    init(_ new: Settings, _ old: Settings) {
        settings = new
        self.old = old
    }

    /// Retains the old value of a setting.
    package mutating func keep<Value: Equatable>(_ key: WritableKeyPath<Settings, Value>, _ name: String) {
        guard settings[keyPath: key] != old[keyPath: key] else { return }
        settings[keyPath: key] = old[keyPath: key]
        kept.append(name)
    }

    /// Retains the old values of the settings that both daemons share.
    mutating func keepCommon() {
        keep(\.controlSocket, "control_socket")
        keep(\.metricsFile, "metrics_file")
        keep(\.user, "user")
        keep(\.countBytes, "count_bytes")
        keep(\.logLevel, "log_level")
        keep(\.logFormat, "log_format")
        keep(\.logTarget, "log_target")
    }
}
