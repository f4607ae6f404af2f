// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
package import Logging

/// How log lines look.
package enum LogFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// `time LEVEL message name=value ...`.
    case text
    /// One JSON object a line: `time`, `level`, `message`, and the values by their names.
    case json
}

/// How much is logged: lines of this level and those above it.
package enum LogLevel: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// Also each dropped packet, up to some lines a second.
    case debug
    /// Also each connection.
    case info
    /// Also starts and stops, and connections that were closed.
    case notice
    /// Lockouts, servers that did not prove themselves, lost packets.
    case warning
    /// Only what keeps the daemon from its work.
    case error

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
        case .text:
            let pairs = values.map { " \($0.key)=\(Self.quotedIfNeeded($0.value.description))" }.joined()
            line = "\(SystemClock.timestamp()) \(event.level.rawValue.uppercased()) \(event.message)\(pairs)\n"
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
