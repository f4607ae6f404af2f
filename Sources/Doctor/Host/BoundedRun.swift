// SPDX-License-Identifier: GPL-2.0-or-later

internal import Glibc
internal import Linux

extension Host {
    /// The folders that are searched for programs.
    ///
    /// PATH is not used: it may name folders of other users.
    private static let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"]

    /// Runs a program to its end (posix_spawn(3)), without a shell and with an empty standard input.
    ///
    /// - Parameters:
    ///   - words: The name or path of the program, then its arguments.
    ///   - seconds: The time limit, after which the program is killed.
    ///   - limit: The most bytes of output that are kept; the program is killed when it writes more.
    /// - Returns: What the program wrote and how it ended.
    package static func runBounded(_ words: [String], seconds: Int64 = 10, limit: Int = 16 << 20) -> ToolRun {
        guard let name = words.first, let path = locate(name) else { return .missing }
        guard let output = Pipe(), let errors = Pipe() else { return .missing }
        var child: pid_t = 0
        guard spawn(path, words, output, errors, &child) else { return .missing }
        output.closeWriter()
        errors.closeWriter()
        let deadline = monotonicMilliseconds() + seconds * 1000
        let isComplete = collect(output, limit, errors, 4096, until: deadline)
        if !isComplete { kill(child, SIGKILL) }
        guard let status = wait(for: child, until: deadline) else { return .timeout }
        // We killed it: because of the time, or because of too much output.
        guard isComplete || output.bytes.count >= limit else { return .timeout }
        return .ended(
            status: isComplete ? status : 0, output: String(decoding: output.bytes, as: UTF8.self),
            errors: String(decoding: errors.bytes, as: UTF8.self), isComplete: isComplete)
    }

    private static func locate(_ name: String) -> String? {
        if name.contains("/") { return unsafe access(name, X_OK) == 0 ? name : nil }
        return folders.map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
    }

    private static func spawn(
        _ path: String, _ words: [String], _ output: Pipe, _ errors: Pipe, _ child: inout pid_t
    ) -> Bool {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output.writer, STDOUT_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, errors.writer, STDERR_FILENO)
        // In English, and with the system's programs only.
        let environment = ["LC_ALL=C", "PATH=\(folders.joined(separator: ":"))", "SWIFT_BACKTRACE=enable=no"]
        return unsafe withStrings(words) { arguments in
            unsafe withStrings(environment) { environment in
                unsafe posix_spawn(&child, path, &actions, nil, arguments, environment) == 0
            }
        }
    }

    private static func withStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe body(&pointers)
    }

    /// Reads both pipes to their ends; false if the deadline or the limit came first.
    private static func collect(
        _ output: Pipe, _ limit: Int, _ errors: Pipe, _ errorLimit: Int, until deadline: Int64
    ) -> Bool {
        while output.isOpen || errors.isOpen {
            let left = deadline - monotonicMilliseconds()
            guard left > 0, output.bytes.count < limit else { return false }
            var descriptors = [
                pollfd(fd: output.isOpen ? output.reader : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors.isOpen ? errors.reader : -1, events: Int16(POLLIN), revents: 0),
            ]
            unsafe poll(&descriptors, nfds_t(descriptors.count), Int32(left))
            if descriptors[0].revents != 0 { output.take(limit) }
            if descriptors[1].revents != 0 { errors.take(errorLimit) }
        }
        return true
    }

    private static func wait(for child: pid_t, until deadline: Int64) -> Int32? {
        var status: Int32 = 0
        var isKilled = false
        while true {
            let result = uninterrupted { unsafe waitpid(child, &status, WNOHANG) }
            if result == child { break }
            if result < 0 { return nil }
            let now = monotonicMilliseconds()
            if now > deadline, !isKilled {
                kill(child, SIGKILL)
                isKilled = true
            }
            // A process that is stuck in the kernel cannot be waited for.
            if now > deadline + 2000 { return nil }
            usleep(1000)
        }
        guard !isKilled else { return nil }
        // wait(2): the low seven bits are the signal that ended the process.
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    private static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// A pipe that collects what a child process writes.
private final class Pipe {
    let reader: Int32
    let writer: Int32
    private(set) var bytes: [UInt8] = []
    private(set) var isOpen = true
    private var writerIsOpen = true

    init?() {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return nil }
        (reader, writer) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        close(reader)
        closeWriter()
    }

    func closeWriter() {
        if writerIsOpen { close(writer) }
        writerIsOpen = false
    }

    /// Reads what is available, and keeps it up to the limit, in bytes.
    func take(_ limit: Int) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = uninterrupted { unsafe Glibc.read(reader, &buffer, buffer.count) }
        if count > 0 {
            bytes += buffer.prefix(count).prefix(max(0, limit - bytes.count))
        } else {
            isOpen = false
        }
    }
}
