// SPDX-License-Identifier: GPL-2.0-or-later

/// Encodes strings for JSON and log lines.
package enum JSON {
    /// Quotes and escapes a string (RFC 8259 §7), including characters that end a line or affect a terminal.
    package static func string(_ text: String) -> String {
        "\"" + escaped(text, quotes: true) + "\""
    }

    /// Escapes a string so that it stays on one line.
    ///
    /// - Parameters:
    ///   - text: Any text.
    ///   - quotes: Whether to escape quotation marks and backslashes as well, as in a quoted string.
    /// - Returns: The escaped text, without quotation marks around it.
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

    /// Returns whether a character can end a line or affect how a terminal displays text.
    ///
    /// All such characters fit in 16 bits.
    package static func breaksLines(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // The control characters C0, DEL and C1 (ISO 6429).
        case 0..<0x20, 0x7f..<0xa0: true
        // Line and paragraph separators, and the controls of writing direction (Unicode, UAX #9).
        case 0x2028...0x202e, 0x2066...0x2069, 0x200e, 0x200f, 0x061c: true
        default: false
        }
    }
}
