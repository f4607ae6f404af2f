// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// A kind of value, such as a port or a path: how it is read from the file and from flags, and how it is written.
///
/// The kinds that there are stand in `ValueKind+Kinds.swift`.
package struct ValueKind<Value: Equatable & Sendable>: Sendable {
    /// The placeholder for the value in help texts.
    let placeholder: String
    /// The way in which a flag gives the value.
    let form: FlagForm
    /// Whether a flag can be repeated, each time for one more value.
    var isList = false
    /// The words to choose from; empty if there is no such choice.
    var choices: [String] = []
    /// The numbers that are accepted; nil if the value is no number, or its kind says which.
    var range: ClosedRange<UInt32>?
    /// Reads a value of the file; relative paths start at the folder.
    var read: @Sendable (TOMLValue, FilePath) throws(Refusal) -> Value
    /// Returns the value as the file has it; nil if it is left out.
    var write: @Sendable (Value) -> TOMLLiteral?

    init(
        _ placeholder: String, _ form: FlagForm, list: Bool = false, choices: [String] = [],
        range: ClosedRange<UInt32>? = nil, _ read: @escaping @Sendable (TOMLValue, FilePath) throws(Refusal) -> Value,
        _ write: @escaping @Sendable (Value) -> TOMLLiteral?
    ) {
        (self.placeholder, self.form, self.choices, self.range) = (placeholder, form, choices, range)
        (isList, self.read, self.write) = (list, read, write)
    }

    /// Reads the value of a flag.
    ///
    /// - Parameter text: The value as given.
    /// - Returns: The value.
    /// - Throws: `Refusal`.
    package func parse(_ text: String) throws(Refusal) -> Value { try parse([text]) }

    /// Reads the values of a flag that was given once or more often.
    ///
    /// - Parameter texts: The values in the order in which they were given.
    /// - Returns: The value.
    /// - Throws: `Refusal`.
    package func parse(_ texts: [String]) throws(Refusal) -> Value {
        let members = texts.map { TOMLValue(content: content($0), position: nil, word: $0) }
        guard let only = members.first, members.count == 1 else {
            return try read(TOMLValue(content: .array(members), position: nil), "")
        }
        return try read(only, "")
    }

    private func content(_ text: String) -> TOMLValue.Content {
        guard form != .presence else { return .boolean(text == "true") }
        guard form != .word, text.first?.isNumber == true else { return .string(text) }
        if form == .anyNumber, text.hasPrefix("0x") || text.hasPrefix("0X") {
            let digits = text.dropFirst(2)
            guard digits.first?.isHexDigit == true, let number = Int64(digits, radix: 16) else { return .string(text) }
            return .integer(number)
        }
        return Int64(text).map { .integer($0) } ?? .string(text)
    }

    /// The same kind, for a setting that need not have a value.
    var optional: ValueKind<Value?> {
        ValueKind<Value?>(
            placeholder, form, list: isList, choices: choices, range: range,
            { [read] value, folder throws(Refusal) -> Value? in try read(value, folder) },
            { [write] value in value.flatMap(write) })
    }

    /// The same kind, with a further check.
    ///
    /// - Parameter check: Returns what is wrong with a value; nil if nothing is.
    /// - Returns: The kind.
    func checked(_ check: @escaping @Sendable (Value) -> String?) -> Self {
        var kind = self
        kind.read = { [read] text, folder throws(Refusal) in
            let value = try read(text, folder)
            if let wrong = check(value) { throw Refusal(wrong, at: text.position) }
            return value
        }
        return kind
    }
}

extension ValueKind where Value: Collection {
    /// The same kind, for a setting whose list must not be empty.
    ///
    /// - Parameter text: What an empty list would mean, and what to write instead.
    /// - Returns: The kind.
    func notEmpty(_ text: String) -> Self {
        var kind = checked { $0.isEmpty ? text : nil }
        // What cannot be read is not written.
        kind.write = { [write] list in list.isEmpty ? nil : write(list) }
        return kind
    }
}
