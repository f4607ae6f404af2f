// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging
package import Settings

extension LogLevel {
    var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}

extension Logger.Level {
    /// The priority of syslog(3).
    fileprivate var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

/// Writes log lines to standard error.
package struct LogLineHandler: LogHandler {
    /// Values that go with every line.
    package var metadata: Logger.Metadata = [:]
    /// Lines below this level are not written.
    package var logLevel: Logger.Level
    private let format: LogFormat

    /// Chooses the level and the format.
    package init(level: LogLevel, format: LogFormat) {
        logLevel = level.level
        self.format = format
    }

    /// A value that goes with every line.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes a line.
    package func log(event: LogEvent) {
        let values = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let line: String
        switch format {
        case .text, .journal:
            let pairs = values.map { " \($0.key)=\(Self.quotedIfNeeded($0.value.description))" }.joined()
            let priority = format == .journal ? "<\(event.level.priority)>" : ""
            line =
                "\(priority)\(SystemClock.timestamp()) \(event.level.rawValue.uppercased()) \(event.message)\(pairs)\n"
        case .json:
            let pairs =
                [("time", SystemClock.timestamp()), ("level", event.level.rawValue), ("message", "\(event.message)")]
                + values.map { ($0.key, $0.value.description) }
            line = "{" + pairs.map { "\(JSON.string($0.0)):\(JSON.string($0.1))" }.joined(separator: ",") + "}\n"
        }
        StandardError.write(line)
    }

    private static func quotedIfNeeded(_ text: String) -> String {
        let needsQuotes = text.isEmpty || text.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0.isNewline }
        return needsQuotes ? JSON.string(text) : text
    }
}

/// The one piece of JSON that log lines and listings need.
package enum JSON {
    /// Quotes and escapes a string (RFC 8259 §7).
    package static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
