// SPDX-License-Identifier: GPL-2.0-or-later

/// The one piece of JSON that log lines and listings need.
package enum JSON {
    /// Quotes and escapes a string (RFC 8259 §7), and what terminals and readers of lines could take for more than text.
    package static func string(_ text: String) -> String {
        "\"" + escaped(text, quotes: true) + "\""
    }

    /// Escapes a string so that it stays on its line.
    ///
    /// - Parameters:
    ///   - text: Any text.
    ///   - quotes: Whether to escape quotation marks and backslashes too, as between quotation marks.
    /// - Returns: The text without quotation marks around it.
    package static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"" where quotes: result += "\\\""
            case "\\" where quotes: result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where breaksLines(scalar):
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Whether a character can end a line, or change how a terminal shows it; none of these has more than 16 bits.
    package static func breaksLines(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // C0, DEL and C1 (ISO 6429).
        case 0..<0x20, 0x7f..<0xa0: true
        // The separators of lines and paragraphs, and the controls of writing direction (Unicode, UAX #9).
        case 0x2028...0x202e, 0x2066...0x2069, 0x200e, 0x200f, 0x061c: true
        default: false
        }
    }
}
