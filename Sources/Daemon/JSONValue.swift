// SPDX-License-Identifier: GPL-2.0-or-later

/// A value to be written as JSON (RFC 8259); members keep their order.
package indirect enum JSONValue: Sendable {
    /// Members in the order in which they are written.
    case object([(String, JSONValue)])
    case array([JSONValue])
    case string(String)
    case integer(Int64)
    case unsigned(UInt64)
    case boolean(Bool)
    case null

    /// A string, or null.
    package static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    /// The value on one line.
    package var text: String {
        switch self {
        case .object(let members):
            "{" + members.map { "\(JSON.string($0.0)):\($0.1.text)" }.joined(separator: ",") + "}"
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .string(let text): JSON.string(text)
        case .integer(let number): "\(number)"
        case .unsigned(let number): "\(number)"
        case .boolean(let value): "\(value)"
        case .null: "null"
        }
    }
}
