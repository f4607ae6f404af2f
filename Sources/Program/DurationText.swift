// SPDX-License-Identifier: GPL-2.0-or-later

/// Formats durations.
package enum DurationText {
    /// Returns the two largest units, such as `2 h 3 min`.
    package static func text(seconds: UInt64) -> String {
        switch seconds {
        case ..<60: "\(seconds) s"
        case ..<3600: "\(seconds / 60) min \(seconds % 60) s"
        case ..<86_400: "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        default: "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
        }
    }
}
