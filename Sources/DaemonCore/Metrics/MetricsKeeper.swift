// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
package import Logging
package import SystemPackage

/// Writes the metrics file at regular intervals.
///
/// The timer may be cancelled on any thread, so this class is safe to share between threads.
package final class MetricsKeeper: @unchecked Sendable {
    /// The interval in seconds.
    ///
    /// Prometheus scrapes once a minute or more often.
    private static let interval = 15

    private let timer: (any DispatchSourceTimer)?
    private let file: MetricsFile?

    /// Starts at once, on a thread of its own.
    ///
    /// Does nothing without a path.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - logger: The log for write errors.
    ///   - families: Returns the current metrics.
    package init(_ path: FilePath?, logger: Logger, families: @escaping @Sendable () -> [MetricFamily]) {
        guard let path else {
            (timer, file) = (nil, nil)
            return
        }
        let file = MetricsFile(path, logger: logger)
        timer = DispatchQueue(label: "metrics").every(seconds: Self.interval) { file.write(families()) }
        self.file = file
    }

    /// Stops writing, and removes the file.
    package func stop() {
        timer?.cancel()
        file?.remove()
    }
}
