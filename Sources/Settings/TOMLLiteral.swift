// SPDX-License-Identifier: GPL-2.0-or-later

/// A value in the syntax of the configuration files.
package enum TOMLLiteral: Equatable, Sendable {
    /// A number, `true`, `false`, or a time.
    case bare(String)
    /// A string.
    case string(String)
    /// An array.
    case array([TOMLLiteral])

    /// The value in TOML.
    package var text: String {
        switch self {
        case .bare(let text): text
        case .string(let text): TOMLText.string(text)
        case .array(let members): "[\(members.map(\.text).joined(separator: ", "))]"
        }
    }

    /// The value as flags have it, one word for each flag.
    package var words: [String] {
        switch self {
        case .bare(let text), .string(let text): [text]
        case .array(let members): members.flatMap(\.words)
        }
    }
}
