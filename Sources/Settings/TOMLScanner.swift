// SPDX-License-Identifier: GPL-2.0-or-later

/// Distinguishes strings and comments from the rest of a document (https://toml.io/en/v1.0.0#string).
///
/// After a syntax error, the distinction may be wrong, but the parser stops there, too.
struct TOMLScanner {
    private let text: [UInt8]
    private var position = 0

    init(_ text: [UInt8]) { self.text = text }

    mutating func countDots(limit: Int) -> Int {
        var count = 0
        while position < text.count, count <= limit {
            switch text[position] {
            case UInt8(ascii: "."): count += 1
            case UInt8(ascii: "#"): skipLine()
            case UInt8(ascii: "\""): skipString(UInt8(ascii: "\""), hasEscapes: true)
            case UInt8(ascii: "'"): skipString(UInt8(ascii: "'"), hasEscapes: false)
            default: break
            }
            position += 1
        }
        return count
    }

    /// Skips to the end of the line.
    private mutating func skipLine() {
        while position < text.count, text[position] != UInt8(ascii: "\n") { position += 1 }
    }

    /// Skips to the last quote of the string that begins here.
    private mutating func skipString(_ quote: UInt8, hasEscapes: Bool) {
        let isMultiline = quotes(quote) >= 3
        position += isMultiline ? 3 : 1
        while position < text.count {
            if hasEscapes, text[position] == UInt8(ascii: "\\") {
                position += 1
            } else if !isMultiline, text[position] == quote || text[position] == UInt8(ascii: "\n") {
                return
            } else if isMultiline, quotes(quote) >= 3 {
                // Up to two quotes may precede the closing three.
                position += min(quotes(quote), 5) - 1
                return
            }
            position += 1
        }
    }

    /// Returns the number of consecutive quotes from here, at most 5.
    private func quotes(_ quote: UInt8) -> Int {
        text[position...].prefix(5).prefix { $0 == quote }.count
    }
}
