// SPDX-License-Identifier: GPL-2.0-or-later
internal import JSONText
internal import Linux
package import Logging
package import Settings

/// Writes log lines to where they are wanted.
///
/// A line stays one line, whatever its message and values hold: control characters are escaped.
package struct LogLineHandler: LogHandler {
    private enum Sink {
        case standardError
        case syslog(Syslog)
    }

    /// Values that go with every line.
    package var metadata: Logger.Metadata = [:]
    /// Lines below this level are not written.
    package var logLevel: Logger.Level
    private let format: LogFormat
    private let sink: Sink

    /// Chooses the level and the format of lines on standard error.
    package init(level: LogLevel, format: LogFormat) {
        logLevel = level.level
        self.format = format
        sink = .standardError
    }

    /// Chooses the level and the format of lines for a syslog daemon; it is told time and priority anyway.
    package init(level: LogLevel, format: LogFormat, syslog: Syslog) {
        logLevel = level.level
        self.format = format
        sink = .syslog(syslog)
    }

    /// A value that goes with every line.
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
        return "{" + pairs.map { "\(JSON.string($0.0)):\(JSON.string($0.1))" }.joined(separator: ",") + "}"
    }

    private static func quotedIfNeeded(_ text: String) -> String {
        let needsQuotes =
            text.isEmpty
            || text.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || JSON.breaksLines($0) }
        return needsQuotes ? JSON.string(text) : text
    }
}

extension Logger.Level {
    /// What syslog(3) and sd-daemon(3) call it.
    var priority: Syslog.Priority {
        switch self {
        case .trace, .debug: .debug
        case .info: .informational
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }
}
