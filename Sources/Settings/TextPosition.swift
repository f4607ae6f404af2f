// SPDX-License-Identifier: GPL-2.0-or-later

/// A position in a text: line and column, counted from 1.
package struct TextPosition: Equatable, Comparable, Sendable {
    /// The line.
    package let line: Int
    /// The column, in characters.
    package let column: Int

    /// Returns whether the first position is before the second.
    package static func < (one: TextPosition, other: TextPosition) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }
}
