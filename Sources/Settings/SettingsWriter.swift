// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Wire

/// The origin of a setting's value.
package enum SettingOrigin: String, Sendable {
    /// The value is the default.
    case `default`
    /// The value was set in the configuration file.
    case file
    /// The value was set on the command line.
    case flag
}

/// Writes settings in the syntax of the configuration files.
package struct SettingsWriter {
    /// The text written so far.
    package private(set) var text = ""
    private let origins: [String: SettingOrigin]?
    private var isInTable = false

    /// Creates a writer without text.
    ///
    /// - Parameter origins: The origins of the values by key, written as comments. Missing keys have their defaults. If
    ///   nil, no comments are written.
    package init(origins: [String: SettingOrigin]? = nil) {
        self.origins = origins
    }

    mutating func begin(_ table: String) {
        text += "\n[[\(table)]]\n"
        isInTable = true
    }

    private mutating func add(_ key: String, literal: String) {
        text += "\(key) = \(literal)"
        if let origins, !isInTable { text += "  # \((origins[key] ?? .default).rawValue)" }
        text += "\n"
    }

    mutating func add(_ key: String, _ value: Bool) { add(key, literal: "\(value)") }

    mutating func add(_ key: String, _ value: UInt32) { add(key, literal: "\(value)") }

    mutating func add(bit key: String, _ value: UInt32) { add(key, literal: "0x" + String(value, radix: 16)) }

    mutating func add(_ key: String, _ value: String) { add(key, literal: TOMLText.string(value)) }

    mutating func add(_ key: String, _ values: [String]) {
        add(key, literal: "[\(values.map(TOMLText.string).joined(separator: ", "))]")
    }

    mutating func add(_ key: String, _ values: [UInt16]) {
        add(key, literal: "[\(values.map(String.init).joined(separator: ", "))]")
    }

    mutating func add(_ key: String, _ value: some RawRepresentable<String>) { add(key, value.rawValue) }

    mutating func add(_ key: String, _ range: ClosedRange<UInt16>) {
        range.count == 1 ? add(key, UInt32(range.lowerBound)) : add(key, QueueNumbers.text(range))
    }

    mutating func add(_ key: String, _ command: HookCommand?) {
        if let command { add(key, command.arguments) }
    }

    mutating func add(_ key: String, _ nat: NATAddress) {
        switch nat {
        case .none: add(key, [String]())
        case .automatic: add(key, "auto")
        case .addresses(let addresses):
            let texts = IPFamily.allCases.compactMap { addresses[$0]?.description }
            texts.count == 1 ? add(key, texts[0]) : add(key, texts)
        }
    }

    mutating func add(time key: String, _ seconds: Int64) { add(key, literal: TOMLText.time(seconds)) }
}

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
