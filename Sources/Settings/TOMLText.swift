// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc

/// Formats values in TOML syntax.
package enum TOMLText {
    /// Returns a basic string, with the necessary characters escaped.
    package static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// Returns a date-time in UTC.
    ///
    /// The time is given in seconds since 1970 and must be in the years 0 to 9999, the range of TOML.
    package static func time(_ seconds: Int64) -> String {
        var seconds = time_t(seconds)
        var fields = unsafe tm()
        unsafe gmtime_r(&seconds, &fields)
        func digits(_ number: Int32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = unsafe [digits(fields.tm_year &+ 1900, 4), digits(fields.tm_mon &+ 1, 2), digits(fields.tm_mday, 2)]
        let clock = unsafe [digits(fields.tm_hour, 2), digits(fields.tm_min, 2), digits(fields.tm_sec, 2)]
        return "\(date.joined(separator: "-"))T\(clock.joined(separator: ":"))Z"
    }
}
