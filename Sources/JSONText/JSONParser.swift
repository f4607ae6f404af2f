// SPDX-License-Identifier: GPL-2.0-or-later

extension JSONValue {
    /// Parses a JSON text (RFC 8259); nil if it is malformed, is nested more than 32 levels deep, or contains a number
    /// that is not a whole number of 64 bits.
    package init?(parsing text: String) {
        var parser = JSONParser(rest: Array(text.utf8)[...])
        guard let value = parser.value(depth: 0) else { return nil }
        parser.skipSpace()
        guard parser.rest.isEmpty else { return nil }
        self = value
    }

    /// The value of an object's member; nil if it has none of this name, or is not an object.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text, if it is a string.
    package var stringValue: String? { if case .string(let text) = self { text } else { nil } }

    /// The number, if it is a whole number that is not negative.
    package var unsignedValue: UInt64? {
        switch self {
        case .unsigned(let number): number
        case .integer(let number): UInt64(exactly: number)
        default: nil
        }
    }

    /// The elements, if it is an array.
    package var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
}

private struct JSONParser {
    private static let deepest = 32
    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "\\"),
        UInt8(ascii: "/"): UInt8(ascii: "/"), UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0c,
        UInt8(ascii: "n"): 0x0a, UInt8(ascii: "r"): 0x0d, UInt8(ascii: "t"): 0x09,
    ]

    var rest: ArraySlice<UInt8>

    mutating func skipSpace() { rest = rest.drop { [0x20, 0x09, 0x0a, 0x0d].contains($0) } }

    /// Removes a word, after white space; false if it does not come next.
    private mutating func take(_ word: StaticString) -> Bool {
        skipSpace()
        let bytes = Array("\(word)".utf8)
        guard rest.starts(with: bytes) else { return false }
        rest = rest.dropFirst(bytes.count)
        return true
    }

    mutating func value(depth: Int) -> JSONValue? {
        guard depth < Self.deepest else { return nil }
        if take("null") { return .null }
        if take("true") { return .boolean(true) }
        if take("false") { return .boolean(false) }
        if take("[") { return list(until: "]") { $0.value(depth: depth + 1) }.map(JSONValue.array) }
        if take("{") { return list(until: "}") { $0.member(depth: depth + 1) }.map(JSONValue.object) }
        return rest.first == UInt8(ascii: "\"") ? string().map { .string($0) } : number()
    }

    private mutating func member(depth: Int) -> JSONValue.Member? {
        skipSpace()
        guard let name = string(), take(":"), let value = value(depth: depth) else { return nil }
        return JSONValue.Member(name, value)
    }

    private mutating func list<Element>(
        until end: StaticString, _ element: (inout JSONParser) -> Element?
    ) -> [Element]? {
        var elements: [Element] = []
        if take(end) { return elements }
        repeat {
            guard let next = element(&self) else { return nil }
            elements.append(next)
        } while take(",")
        return take(end) ? elements : nil
    }

    private mutating func number() -> JSONValue? {
        let digits = rest.prefix { $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }
        rest = rest.dropFirst(digits.count)
        let text = String(decoding: digits, as: UTF8.self)
        guard text == "0" || !text.hasPrefix("0"), text != "-0", rest.first.map({ !".eE".utf8.contains($0) }) ?? true
        else { return nil }
        return Int(text).map { .integer($0) } ?? UInt64(text).map { .unsigned($0) }
    }

    private mutating func string() -> String? {
        guard rest.popFirst() == UInt8(ascii: "\"") else { return nil }
        var bytes: [UInt8] = []
        while let byte = rest.popFirst(), byte >= 0x20 {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let letter = rest.popFirst() else { return nil }
                if let escaped = Self.escapes[letter] {
                    bytes.append(escaped)
                } else {
                    guard letter == UInt8(ascii: "u"), let scalar = unicode() else { return nil }
                    bytes += Array(String(Character(scalar)).utf8)
                }
            default: bytes.append(byte)
            }
        }
        return nil
    }

    /// Parses what follows `\u`: four hexadecimal digits, and the second half of a surrogate pair.
    private mutating func unicode() -> Unicode.Scalar? {
        guard let first = fourDigits() else { return nil }
        guard 0xd800..<0xdc00 ~= first else { return Unicode.Scalar(first) }
        guard rest.starts(with: "\\u".utf8) else { return nil }
        rest = rest.dropFirst(2)
        guard let second = fourDigits(), 0xdc00..<0xe000 ~= second else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    }

    private mutating func fourDigits() -> UInt32? {
        let digits = rest.prefix(4)
        rest = rest.dropFirst(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
