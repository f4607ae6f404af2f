// SPDX-License-Identifier: GPL-2.0-or-later

/// What is to be written as JSON (RFC 8259); members keep their order.
package indirect enum JSONTree: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Int)
    case string(String)
    case array([JSONTree])
    case object([Member])

    /// A name and its value.
    package struct Member: Equatable, Sendable {
        /// The name.
        package let name: String
        /// The value.
        package let value: JSONTree
    }

    /// An object from pairs.
    package static func object(_ pairs: KeyValuePairs<String, JSONTree>) -> JSONTree {
        .object(pairs.map { Member(name: $0.key, value: $0.value) })
    }

    /// A number, or null.
    package static func number(_ value: Int?) -> JSONTree { value.map { .number($0) } ?? .null }
}
