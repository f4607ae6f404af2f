// SPDX-License-Identifier: GPL-2.0-or-later

/// The moment at which a change in the configuration file takes effect.
package enum SettingChange: Sendable {
    /// When the daemon is told to read the file again.
    case atReload
    /// When the daemon starts.
    case atStart
}
