// SPDX-License-Identifier: GPL-2.0-or-later
import Daemon
import Diagnosis

extension JSONTree {
    /// The value as JSON with a line for each member, indented by two spaces a level.
    func text(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let value): return String(value)
        case .string(let value): return JSON.string(value)
        case .array(let values) where values.isEmpty: return "[]"
        case .array(let values):
            let lines = values.map { inner + $0.text(indent: inner) }
            return "[\n\(lines.joined(separator: ",\n"))\n\(indent)]"
        case .object(let members):
            let lines = members.map { "\(inner)\(JSON.string($0.name)): \($0.value.text(indent: inner))" }
            return "{\n\(lines.joined(separator: ",\n"))\n\(indent)}"
        }
    }
}
