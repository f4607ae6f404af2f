// SPDX-License-Identifier: GPL-2.0-or-later

/// The location of a setting.
package struct SettingsLocation: Hashable, Sendable {
    /// The index of the guest or target, counted from 0; nil for settings outside of one.
    package let table: Int?
    /// The key.
    package let key: String

    init(_ key: String, in table: Int? = nil) {
        self.table = table
        self.key = key
    }
}
