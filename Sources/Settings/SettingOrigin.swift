// SPDX-License-Identifier: GPL-2.0-or-later

/// The origin of a setting's value.
package enum SettingOrigin: String, Sendable {
    /// The value is the default.
    case `default`
    /// The value was set in the configuration file.
    case file
    /// The value was set on the command line.
    case flag
}
