// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
package import Logging
package import SystemPackage

/// Writes the metrics file every some seconds.
///
/// The timer may be cancelled on any thread, which is why this may be shared.
package final class MetricsKeeper: @unchecked Sendable {
    /// In seconds; Prometheus asks once a minute or more often.
    private static let interval = 15

    private let timer: (any DispatchSourceTimer)?
    private let file: MetricsFile?

    /// Begins at once, on a thread of its own; does nothing without a path.
    ///
    /// - Parameters:
    ///   - path: Where the file is to be.
    ///   - logger: Where it says what keeps it from writing.
    ///   - families: What is measured.
    package init(_ path: FilePath?, logger: Logger, families: @escaping @Sendable () -> [MetricFamily]) {
        guard let path else {
            (timer, file) = (nil, nil)
            return
        }
        let file = MetricsFile(path, logger: logger)
        timer = DispatchQueue(label: "metrics").every(seconds: Self.interval) { file.write(families()) }
        self.file = file
    }

    /// Writes no more, and removes the file.
    package func stop() {
        timer?.cancel()
        file?.remove()
    }
}
