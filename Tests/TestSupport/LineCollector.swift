// SPDX-License-Identifier: GPL-2.0-or-later
package import Logging
internal import Synchronization

/// A log handler that keeps each logged line as `level message {sorted values}`.
package final class LineCollector: LogHandler {
    private let lines = Mutex<[String]>([])

    package init() {}

    /// The lines so far.
    package var all: [String] { lines.withLock { $0 } }

    package var metadata: Logger.Metadata {
        get { [:] }
        set { _ = newValue }
    }

    package var logLevel: Logger.Level {
        get { .trace }
        set { _ = newValue }
    }

    package subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set { _ = newValue }
    }

    package func log(event: LogEvent) {
        let values = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        lines.withLock { $0.append("\(event.level) \(event.message) {\(values.joined(separator: " "))}") }
    }
}
