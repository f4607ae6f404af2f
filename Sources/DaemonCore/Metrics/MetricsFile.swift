// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KeyFiles
package import Logging
internal import Synchronization
package import SystemPackage

/// A file with metrics, for the textfile collector of Prometheus' node exporter: its name should end in `.prom`.
///
/// Whoever owns it calls `write` every some seconds, on any thread.
package final class MetricsFile: Sendable {
    private let path: FilePath
    private let temporaryPath: FilePath
    private let logger: Logger
    private let lastFailure = Mutex<String?>(nil)

    /// Names the file; nothing is written yet.
    ///
    /// - Parameters:
    ///   - path: Where it is to be, in a folder that exists. What is there is replaced.
    ///   - logger: Where it says what keeps it from writing, once until that changes.
    package init(_ path: FilePath, logger: Logger) {
        self.path = path
        // The collector reads only names that end in .prom.
        temporaryPath = FilePath("\(path.string).tmp")
        self.logger = logger
    }

    /// Replaces the file in one step, so that a reader sees either the old one or the new one; everybody may read it.
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

    /// Removes the file, whose values nobody keeps up to date any more.
    package func remove() {
        lastFailure.withLock { _ in
            _ = unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    /// Returns what went wrong; nil if nothing did.
    private func replace(_ text: String) -> String? {
        // What a run that was killed has left; or what somebody put there to have another file overwritten.
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
