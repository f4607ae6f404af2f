// SPDX-License-Identifier: GPL-2.0-or-later

/// Two settings that contradict each other, or one that is invalid by itself, whether from the file or from flags.
package struct SettingsConflict: Equatable, Sendable {
    /// The setting to change.
    package let location: SettingsLocation
    /// The message: what is wrong and what to do.
    package let text: String
}
