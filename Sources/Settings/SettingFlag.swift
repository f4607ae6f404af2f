// SPDX-License-Identifier: GPL-2.0-or-later

/// The flag for a setting.
package struct SettingFlag: Sendable {
    /// The name, without the hyphens at its beginning.
    package let name: String
    /// Whether the flag is given without a value.
    package let isSwitch: Bool
    /// Whether the flag can be repeated, each time for one more value.
    package let isList: Bool
}
