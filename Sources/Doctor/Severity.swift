// SPDX-License-Identifier: GPL-2.0-or-later

/// How bad a finding is, in increasing order.
package enum Severity: String, CaseIterable, Comparable, Sendable {
    /// As it should be.
    case ok
    /// Good to know, or something that could not be examined.
    case note
    /// Works now, or for some, but should be changed.
    case warning
    /// Does not work, or does not protect.
    case error

    /// Whether the left severity is less bad than the right one.
    package static func < (left: Severity, right: Severity) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
