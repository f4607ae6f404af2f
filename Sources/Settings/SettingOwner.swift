// SPDX-License-Identifier: GPL-2.0-or-later

/// A value that keeps settings.
package protocol SettingOwner: Sendable {
    /// An owner in which all settings have their defaults, and those without one are empty.
    static var defaults: Self { get }
}
