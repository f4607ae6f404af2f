// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
internal import Linux
package import Logging
package import Settings

/// Writes log lines to standard error or to syslog.
///
/// Control characters in messages and values are escaped, so that each entry stays on one line.
package struct LogLineHandler: LogHandler {
    private enum Sink {
        case standardError
        case syslog(Syslog)
    }

    /// The values that are added to every line.
    package var metadata: Logger.Metadata = [:]
    /// The level below which lines are not written.
    package var logLevel: Logger.Level
    private let format: LogFormat
    private let sink: Sink

    /// Creates a handler for lines of this level and format on standard error.
    package init(level: LogLevel, format: LogFormat) {
        logLevel = level.level
        self.format = format
        sink = .standardError
    }

    /// Creates a handler for lines of this level and format, sent to a syslog daemon.
    ///
    /// Time and priority are not part of the lines, because every message to syslog has them.
    package init(level: LogLevel, format: LogFormat, syslog: Syslog) {
        logLevel = level.level
        self.format = format
        sink = .syslog(syslog)
    }

    /// A value that is added to every line.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes a line.
    package func log(event: LogEvent) {
        let values = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.description) }
        let text = format == .json ? Self.json(event, values) : Self.text(event, values)
        switch (sink, format) {
        case (.syslog(let syslog), _): syslog.write(text, event.level.priority)
        case (.standardError, .text): StandardError.write("\(SystemClock.timestamp()) \(text)\n")
        case (.standardError, .json): StandardError.write("\(text)\n")
        case (.standardError, .journal): StandardError.write("<\(event.level.priority.rawValue)>\(text)\n")
        }
    }

    private static func text(_ event: LogEvent, _ values: [(String, String)]) -> String {
        let pairs = values.map { " \($0.0)=\(quotedIfNeeded($0.1))" }.joined()
        return "\(event.level.rawValue.uppercased()) \(JSON.escaped("\(event.message)", quotes: false))\(pairs)"
    }

    private static func json(_ event: LogEvent, _ values: [(String, String)]) -> String {
        let pairs =
            [("time", SystemClock.timestamp()), ("level", event.level.rawValue), ("message", "\(event.message)")]
            + values
        return JSONValue.object(pairs.map { JSONValue.Member($0.0, .string($0.1)) }).text
    }

    private static func quotedIfNeeded(_ text: String) -> String {
        let needsQuotes =
            text.isEmpty
            || text.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || JSON.breaksLines($0) }
        return needsQuotes ? JSON.string(text) : text
    }
}
