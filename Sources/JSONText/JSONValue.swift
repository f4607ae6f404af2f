// SPDX-License-Identifier: GPL-2.0-or-later

/// A value to be written as JSON (RFC 8259).
///
/// Members keep their order.
package indirect enum JSONValue: Equatable, Sendable {
    /// Members in the order in which they are written.
    case object([Member])
    case array([JSONValue])
    case string(String)
    case integer(Int)
    case unsigned(UInt64)
    case boolean(Bool)
    case null

    /// A member of an object: a name and its value.
    package struct Member: Equatable, Sendable {
        /// The name.
        package let name: String
        /// The value.
        package let value: JSONValue

        package init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// Creates an object from pairs, in their order.
    package static func object(_ pairs: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(pairs.map { Member($0.key, $0.value) })
    }

    /// Creates a string, or null for nil.
    package static func string(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    /// Creates a whole number, or null for nil.
    package static func integer(_ number: Int?) -> JSONValue { number.map { .integer($0) } ?? .null }

    /// Creates a non-negative whole number, or null for nil.
    package static func unsigned(_ number: UInt64?) -> JSONValue { number.map { .unsigned($0) } ?? .null }

    /// Creates true or false, or null for nil.
    package static func boolean(_ value: Bool?) -> JSONValue { value.map { .boolean($0) } ?? .null }

    /// The value as text on a single line.
    package var text: String {
        switch self {
        case .object(let members):
            "{" + members.map { "\(JSON.string($0.name)):\($0.value.text)" }.joined(separator: ",") + "}"
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .string(let text): JSON.string(text)
        case .integer(let number): "\(number)"
        case .unsigned(let number): "\(number)"
        case .boolean(let value): "\(value)"
        case .null: "null"
        }
    }

    /// The value as text with one line per member or element, indented by two spaces per level.
    package var indentedText: String { indentedText(after: "") }

    private func indentedText(after indent: String) -> String {
        let inner = indent + "  "
        func block(_ open: String, _ lines: [String], _ close: String) -> String {
            "\(open)\n\(lines.map { inner + $0 }.joined(separator: ",\n"))\n\(indent)\(close)"
        }
        switch self {
        case .object(let members) where !members.isEmpty:
            let lines = members.map { "\(JSON.string($0.name)): \($0.value.indentedText(after: inner))" }
            return block("{", lines, "}")
        case .array(let elements) where !elements.isEmpty:
            return block("[", elements.map { $0.indentedText(after: inner) }, "]")
        default: return text
        }
    }
}
