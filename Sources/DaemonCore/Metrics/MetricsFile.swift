// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Logging
internal import Synchronization
package import SystemPackage

/// A file with metrics for the textfile collector of the Prometheus node exporter.
///
/// Its name should end in `.prom`.
///
/// The owner calls `write` every few seconds, on any thread.
package final class MetricsFile: Sendable {
    private let path: FilePath
    private let temporaryPath: FilePath
    private let logger: Logger
    private let lastFailure = Mutex<String?>(nil)

    /// Creates an object for the file without writing it.
    ///
    /// - Parameters:
    ///   - path: The path, in a folder that exists. An existing file is replaced.
    ///   - logger: The log for write errors. An error is logged once, until it changes.
    package init(_ path: FilePath, logger: Logger) {
        self.path = path
        // The collector reads only names that end in .prom.
        temporaryPath = FilePath("\(path.string).tmp")
        self.logger = logger
    }

    /// Replaces the file atomically, so that a reader sees either the old or the new one.
    ///
    /// It is readable by everybody.
    package func write(_ families: [MetricFamily]) {
        lastFailure.withLock { lastFailure in
            let failure = replace(MetricsText.text(families))
            if let failure, failure != lastFailure {
                logger.error("metrics not written: \(failure)", metadata: ["file": "\(path)"])
            } else if failure == nil, lastFailure != nil {
                logger.notice("metrics are written again", metadata: ["file": "\(path)"])
            }
            lastFailure = failure
        }
    }

    /// Removes the file, because its values are no longer updated.
    package func remove() {
        lastFailure.withLock { _ in
            _ = unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    /// Replaces the file, and returns a description of the error; nil if there was none.
    private func replace(_ text: String) -> String? {
        // Left by a run that was killed, or put there by somebody to have another file overwritten.
        removeTemporary()
        var call = "create"
        do {
            let file = try FileDescriptor.open(
                temporaryPath, .writeOnly, options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
                permissions: .ownerReadWrite)
            call = "write"
            try file.closeAfter {
                try file.writeAll(Array(text.utf8))
                guard fchmod(file.rawValue, 0o644) == 0 else { throw Errno(rawValue: errno) }
            }
            call = "rename"
            let result = unsafe temporaryPath.withPlatformString { from in
                unsafe path.withPlatformString { to in unsafe rename(from, to) }
            }
            guard result == 0 else { throw Errno(rawValue: errno) }
            return nil
        } catch {
            removeTemporary()
            return "\(call) \(temporaryPath): \(error)"
        }
    }

    private func removeTemporary() {
        _ = unsafe temporaryPath.withPlatformString { unsafe unlink($0) }
    }
}
