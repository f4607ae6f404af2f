// SPDX-License-Identifier: GPL-2.0-or-later
package import CLinux
internal import Glibc
internal import SystemPackage

/// A child process with its own process group, and the parent's ends of its pipes.
package struct ChildProcess {
    /// The way a child ended.
    package enum End: Equatable {
        /// It exited with this status.
        case exited(Int32)
        /// It was ended by this signal.
        case signalled(Int32)
        /// The status is unknown, because it was collected elsewhere or discarded by the system.
        case unknown
    }

    /// What a child's standard streams are, other than /dev/null.
    package enum Streams {
        /// Standard error is a pipe.
        case errors
        /// Standard input is a pipe; standard output and standard error are one pipe.
        ///
        /// The child's input ends when this process ends, for whatever reason.
        case conversation
        /// Standard output and standard error are a pipe each.
        case output
    }

    /// The PATH for children of a daemon that has none.
    private static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The process ID, which is also the ID of the process group.
    package let processID: pid_t
    /// The write end of the child's standard input; -1 if that is /dev/null.
    package let standardInput: Int32
    /// The nonblocking read end of the child's standard output; -1 if it has no pipe of its own.
    package let standardOutput: Int32
    /// The nonblocking read end of the child's standard error.
    package let standardError: Int32
    /// A descriptor that becomes readable when the child has ended; -1 if the kernel does not support that.
    package let processDescriptor: Int32

    /// Starts a program in `/`, with no open files except its standard streams, and no signals blocked.
    ///
    /// - Parameters:
    ///   - arguments: The program and its arguments.
    ///   - environment: Its complete environment, except PATH if that is missing. Zero bytes are removed.
    ///   - streams: Its standard streams.
    /// - Throws: `SystemError`, including when the program cannot be executed.
    package init(
        _ arguments: [String], environment: [String: String], streams: Streams = .errors
    ) throws(SystemError) {
        var opened: [Int32] = []
        do throws(SystemError) {
            let none = (reading: -1 as Int32, writing: -1 as Int32)
            let errors = try Self.pipe(&opened)
            let input = streams == .conversation ? try Self.pipe(&opened) : none
            let output = streams == .output ? try Self.pipe(&opened) : none
            processID = try Self.spawn(
                arguments, Self.variables(environment), input: input.reading,
                output: streams == .conversation ? errors.writing : output.writing, errors: errors.writing)
            for end in [errors.writing, input.reading, output.writing] where end >= 0 { close(end) }
            (standardInput, standardOutput, standardError) = (input.writing, output.reading, errors.reading)
        } catch {
            for end in opened { close(end) }
            throw error
        }
        // Only the read ends are nonblocking: the child does not expect a write to fail because nobody has read yet.
        for end in [standardOutput, standardError] where end >= 0 { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        // No other thread waits for this child, so the ID has not been reused.
        processDescriptor = clinux_pidfd_open(processID)
    }

    /// Creates a pipe whose descriptors are above the standard ones, which may be closed in the daemon.
    private static func pipe(_ opened: inout [Int32]) throws(SystemError) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard unsafe clinux_pipe(&ends) == 0 else { throw SystemError("pipe") }
        for index in ends.indices where ends[index] <= STDERR_FILENO {
            let moved = fcntl(ends[index], F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
            let reason = errno
            close(ends[index])
            ends[index] = moved
            guard moved >= 0 else {
                close(ends[1 - index])
                throw SystemError("fcntl F_DUPFD_CLOEXEC", reason)
            }
        }
        opened += ends
        return (ends[0], ends[1])
    }

    /// Sends a signal to the whole process group.
    ///
    /// Call this only before the status is collected. Until then, the ID is not reused.
    package func signalGroup(_ signal: Int32) { kill(-processID, signal) }

    /// Collects the status if the child has ended; nil if it has not.
    package func end() -> End? {
        var status: Int32 = 0
        let result = uninterrupted { unsafe waitpid(processID, &status, WNOHANG) }
        guard result != 0 else { return nil }
        guard result == processID else { return .unknown }
        // The same as the macros of wait(2), which Swift does not import.
        let signal = status & 0x7f
        return signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
    }

    /// Waits for the child to end, and collects the status; nil if it takes longer than this many milliseconds.
    package func end(within milliseconds: Int64) -> End? {
        let deadline = SystemClock.nanoseconds(CLOCK_MONOTONIC) + milliseconds * 1_000_000
        while true {
            if let end = end() { return end }
            guard SystemClock.nanoseconds(CLOCK_MONOTONIC) < deadline else { return nil }
            usleep(1_000)
        }
    }

    /// Closes the descriptors.
    package func closeDescriptors() {
        for descriptor in [standardInput, standardOutput, standardError, processDescriptor] where descriptor >= 0 {
            close(descriptor)
        }
    }

    private static func variables(_ environment: [String: String]) -> [String] {
        let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? defaultPath
        return environment.merging(["PATH": path]) { given, _ in given }
            .filter { !$0.key.isEmpty && !$0.key.utf8.contains(UInt8(ascii: "=")) }
            .map { "\($0.key)=\($0.value)" }
    }

    /// Starts this program again, in the same folder, with a socket as standard input and without pipes.
    ///
    /// - Parameters:
    ///   - arguments: The arguments, including the program's name.
    ///   - input: The socket.
    /// - Throws: `SystemError`.
    package static func spawn(again arguments: [String], input: Int32) throws(SystemError) {
        _ = try spawn(
            arguments, variables([:]), program: FilePath.ownProgramLink.string, folder: nil, input: input,
            output: STDERR_FILENO,
            errors: STDERR_FILENO)
    }

    /// Starts a program with these standard streams; -1 is /dev/null.
    private static func spawn(
        _ arguments: [String], _ environment: [String], program: String? = nil, folder: String? = "/", input: Int32,
        output: Int32, errors: Int32
    ) throws(SystemError) -> pid_t {
        let arguments = CStringArray(arguments)
        let environment = CStringArray(environment)
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        for (stream, descriptor) in [(STDIN_FILENO, input), (STDOUT_FILENO, output), (STDERR_FILENO, errors)]
        where descriptor != stream {
            if descriptor >= 0 {
                unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, stream)
            } else {
                unsafe posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0)
            }
        }
        unsafe clinux_spawn_add_closefrom(&actions, STDERR_FILENO + 1)
        if let folder { unsafe clinux_spawn_add_chdir(&actions, folder) }

        // The daemon blocks signals and ignores SIGPIPE. The child would inherit both.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        guard let name = unsafe arguments.pointers[0] else { throw SystemError("posix_spawn", ENOENT) }
        var processID: pid_t = 0
        let result = unsafe posix_spawnp(
            &processID, program ?? String(cString: name), &actions, &attributes, arguments.pointers,
            environment.pointers)
        guard result == 0 else { throw SystemError("posix_spawn", result) }
        return processID
    }
}

/// Strings in the form of `argv` and `envp` in C: pointers, followed by a null pointer.
@safe
private struct CStringArray: ~Copyable {
    package let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    /// Copies the strings, without zero bytes, which would terminate them.
    package init(_ strings: [String]) {
        count = strings.count
        unsafe pointers = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() {
            let bytes = string.utf8.filter { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
            unsafe (pointers + index).initialize(to: strdup(bytes))
        }
        unsafe (pointers + strings.count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
}
