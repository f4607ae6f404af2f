// SPDX-License-Identifier: GPL-2.0-or-later

/// A value to be written as JSON (RFC 8259); members keep their order.
package indirect enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Int)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// A name and its value.
    package struct Member: Equatable, Sendable {
        /// The name.
        package let name: String
        /// The value.
        package let value: JSONValue
    }

    /// An object from pairs.
    package static func object(_ pairs: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(pairs.map { Member(name: $0.key, value: $0.value) })
    }

    /// A number, or null.
    package static func number(_ value: Int?) -> JSONValue { value.map { .number($0) } ?? .null }

    /// A text, or null.
    package static func string(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
}
