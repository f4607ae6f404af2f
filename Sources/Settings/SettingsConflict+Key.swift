// SPDX-License-Identifier: GPL-2.0-or-later

extension SettingsConflict {
    /// Creates a conflict whose text begins with its key.
    init(_ key: String, _ text: String) {
        self.init(location: SettingsLocation(key), text: "\(key): \(text)")
    }

    /// Creates a conflict within a guest or target.
    init(_ name: String, _ key: String, in table: Int, _ text: String) {
        self.init(location: SettingsLocation(key, in: table), text: "\(name).\(key): \(text)")
    }
}
