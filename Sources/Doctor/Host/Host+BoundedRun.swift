// SPDX-License-Identifier: GPL-2.0-or-later

internal import Control
internal import Glibc
internal import Linux
internal import SystemPackage

extension Host {
    /// The folders that are searched for programs.
    ///
    /// PATH is not used: it may name folders of other users.
    private static let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"]

    /// The most bytes of standard error that are kept.
    private static let longestErrors = 4096

    /// Runs a program to its end (posix_spawn(3)), without a shell and with an empty standard input.
    ///
    /// - Parameters:
    ///   - words: The name or path of the program, then its arguments.
    ///   - seconds: The time limit, after which the program is killed. A firewall script may wait 30 seconds for another.
    ///   - limit: The most bytes of output that are kept; the program is killed when it writes more.
    /// - Returns: What the program wrote and how it ended.
    package static func runBounded(_ words: [String], seconds: Int64 = 40, limit: Int = 16 << 20) -> ToolRun {
        guard let name = words.first, let path = locate(name) else { return .missing }
        // In English, and with the system's programs only.
        let environment = ["LC_ALL": "C", "PATH": folders.joined(separator: ":"), "SWIFT_BACKTRACE": "enable=no"]
            .merging(FirewallScript.environment) { own, _ in own }
        guard
            let child = try? ChildProcess(
                [path] + words.dropFirst(), environment: environment, streams: .output)
        else { return .missing }
        defer { child.closeDescriptors() }
        let deadline = milliseconds() + seconds * 1000
        var (output, errors): ([UInt8], [UInt8]) = ([], [])
        let isComplete = collect(child, limit, until: deadline, &output, &errors)
        var end = isComplete ? child.end(within: deadline - milliseconds()) : nil
        let isKilled = end == nil
        if isKilled {
            child.signalGroup(SIGKILL)
            // A process that is stuck in the kernel cannot be waited for.
            end = child.end(within: 2_000)
        }
        let status: Int32
        switch end {
        case _ where isComplete && isKilled, nil, .unknown: return .timeout
        case _ where isKilled:
            guard output.count == limit else { return .timeout }
            status = 0
        case .exited(let number): status = number
        case .signalled(let number): status = -number
        }
        return .ended(
            status: status, output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self), isComplete: isComplete)
    }

    private static func locate(_ name: String) -> String? {
        if name.contains("/") { return FilePath(name).isExecutable ? name : nil }
        return folders.map { "\($0)/\(name)" }.first { FilePath($0).isExecutable }
    }

    /// Reads standard output up to the limit, and the first part of standard error; false if the deadline or the limit
    /// came first.
    private static func collect(
        _ child: ChildProcess, _ limit: Int, until deadline: Int64, _ output: inout [UInt8], _ errors: inout [UInt8]
    ) -> Bool {
        var pipes = (output: PipeReader(child.standardOutput), errors: PipeReader(child.standardError))
        while !pipes.output.isAtEnd || !pipes.errors.isAtEnd {
            let left = deadline - milliseconds()
            guard left > 0, output.count < limit else { return false }
            var descriptors = [pipes.output, pipes.errors].map {
                pollfd(fd: $0.isAtEnd ? -1 : $0.descriptor, events: Int16(POLLIN), revents: 0)
            }
            unsafe poll(&descriptors, nfds_t(descriptors.count), Int32(left))
            output += pipes.output.read(limit: limit - output.count)
            errors += pipes.errors.read(limit: 64 << 10).prefix(longestErrors - errors.count)
        }
        return true
    }

    private static func milliseconds() -> Int64 { SystemClock.nanoseconds(CLOCK_MONOTONIC) / 1_000_000 }
}
