// SPDX-License-Identifier: GPL-2.0-or-later
import DaemonCore
import Glibc
import KnockEngine
import Logging
import Settings
import SystemPackage
import TestSupport
import Testing

@testable import Linux
@testable import Program
@testable import Server

@Suite struct HookRunnerTests {
    private let collector = LineCollector()
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private var lines: [String] { collector.all }

    private func runner(limit: Int = 8, waiting: Int = 256, seconds: UInt32 = 30) throws -> HookRunner {
        try HookRunner(
            limit: limit, waiting: waiting, seconds: seconds,
            logger: Logger(label: "test") { [collector] _ in collector })
    }

    /// Runs a text for the shell, in which `$FOLDER` is the folder of the test.
    private func run(_ runner: HookRunner, _ text: String, _ environment: [String: String] = [:]) throws {
        runner.run(
            try #require(HookCommand(shell: text)),
            environment: environment.merging(["FOLDER": "\(folder.path)"]) { $1 })
    }

    private func read(_ name: String) -> String? {
        (try? folder.read(name)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The content of a file once it has been moved to its name.
    private func content(of name: String) throws -> String {
        try #require(eventually { read(name) != nil }, "\(name), log: \(lines)")
        return try #require(read(name))
    }

    /// Whether a process runs, zombies left aside.
    private static func runs(_ processID: Int32) -> Bool {
        guard kill(processID, 0) == 0, let file = try? FileDescriptor.open("/proc/\(processID)/stat", .readOnly) else {
            return false
        }
        defer { try? file.close() }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = (try? buffer.withUnsafeMutableBytes { try file.read(into: $0) }) ?? 0
        let state = String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: ")").last?.first {
            $0 != " "
        }
        return state != nil && state != "Z" && state != "X"
    }

    // MARK: What a hook finds

    @Test("The environment is PATH and what is given, whatever that holds")
    func environment() throws {
        let runner = try runner()
        defer { runner.shutDown() }
        let hostile = "'; touch \(folder.path)/pwned; $(touch \(folder.path)/pwned) `id` \"\\ \u{1b}[2J é"
        try run(
            runner, "cat /proc/$$/environ >$FOLDER/a; mv $FOLDER/a $FOLDER/environment",
            ["TCPKNOCK_GUEST": hostile, "ZERO": "a\0b", "EMPTY": "", "LINE": "a\nb", "": "x", "A=B": "y"])
        let variables = try content(of: "environment").split(separator: "\0").map(String.init)
        #expect(variables.filter { $0.hasPrefix("PATH=/") }.count == 1)
        #expect(
            Set(variables.filter { !$0.hasPrefix("PATH=") }) == [
                "TCPKNOCK_GUEST=\(hostile)", "ZERO=ab", "EMPTY=", "LINE=a\nb", "FOLDER=\(folder.path)",
            ])
        #expect(read("pwned") == nil)
    }

    @Test("Arguments are not a text for a shell")
    func arguments() throws {
        let runner = try runner()
        defer { runner.shutDown() }
        let odd = "$HOME; 'x' \"\n*"
        let script = try folder.write(
            "script", Array("#!/bin/sh\nprintf %s \"$2\" >\"$1/a\"; mv \"$1/a\" \"$1/argument\"".utf8), mode: 0o700)
        runner.run(try #require(HookCommand(arguments: [script.string, folder.path.string, odd])), environment: [:])
        #expect(try content(of: "argument") == odd)
    }

    @Test("Nothing of the daemon's descriptors and folder is inherited")
    func descriptors() async throws {
        let folder = folder.path.string
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            try #require(open("/dev/zero", O_RDONLY) > 2)
            try #require(dup2(STDERR_FILENO, 40) == 40)
            let runner = try HookRunner(limit: 8, seconds: 10, logger: Logger(label: "test"))
            runner.run(try #require(HookCommand.listDescriptors(folder)), environment: [:])
            #expect(eventually { access("\(folder)/list", F_OK) == 0 })
            runner.shutDown()
        }
        // From 3 on are the descriptors that the listing program has opened itself.
        let list = try #require(read("list")).split(separator: "\n").map(String.init)
        #expect(list.contains("cwd /"))
        #expect(list.contains("0 /dev/null") && list.contains("1 /dev/null"))
        #expect(list.contains { $0.hasPrefix("2 pipe:") })
        #expect(!list.contains { $0.hasPrefix("40 ") || $0.contains("/dev/zero") })
    }

    @Test("Signals that the daemon blocks or ignores are as they were at first")
    func signals() async throws {
        let folder = folder.path.string
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            _ = try Signals()
            let runner = try HookRunner(limit: 8, seconds: 10, logger: Logger(label: "test"))
            runner.run(
                try #require(HookCommand(arguments: ["cp", "/proc/self/status", "\(folder)/status"])), environment: [:])
            #expect(eventually { access("\(folder)/status", F_OK) == 0 })
            runner.shutDown()
        }
        func signals(_ name: String) -> UInt64? {
            read("status")?.split(separator: "\n").first { $0.hasPrefix("\(name):\t") }
                .flatMap { UInt64($0.dropFirst(name.count + 2), radix: 16) }
        }
        #expect(signals("SigBlk") == 0)
        // glibc's posix_spawn ignores the two that it keeps to itself, 32 and 33, which programs set up anew.
        #expect(signals("SigIgn").map { $0 & ~0x1_8000_0000 } == 0)
    }

    @Test("A command leads a process group of its own")
    func processGroup() throws {
        let runner = try runner()
        defer { runner.shutDown() }
        try run(runner, "awk '{print $1 == $5}' /proc/$$/stat >$FOLDER/a; mv $FOLDER/a $FOLDER/leads")
        #expect(try content(of: "leads") == "1\n")
    }

    @Test("A daemon without standard streams has hooks too")
    func withoutStandardStreams() async throws {
        let folder = folder.path.string
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            let collector = LineCollector()
            let runner = try HookRunner(limit: 8, seconds: 10, logger: Logger(label: "test") { _ in collector })
            let streams = (0...2).map { fcntl($0, F_DUPFD_CLOEXEC, 10) }
            for stream in 0...2 { close(Int32(stream)) }
            runner.run(try #require(HookCommand.listDescriptors(folder)), environment: [:])
            runner.run(try #require(HookCommand(shell: "echo trouble >&2; exit 9")), environment: [:])
            let hasEnded = eventually { !collector.all.isEmpty }
            runner.shutDown()
            for (index, stream) in streams.enumerated() where stream >= 0 { dup2(stream, Int32(index)) }
            #expect(hasEnded)
            #expect(collector.all.count == 1)
            #expect(collector.all.first?.contains("stderr=trouble") == true)
        }
        let list = try #require(read("list")).split(separator: "\n").map(String.init)
        #expect(list.contains("0 /dev/null") && list.contains("1 /dev/null"))
        #expect(list.contains { $0.hasPrefix("2 pipe:") })
    }

    // MARK: How many

    @Test("No more than the limit run at once, the others after them")
    func limit() throws {
        let runner = try runner(limit: 2)
        defer { runner.shutDown() }
        for number in 0..<5 {
            try run(
                runner,
                "touch $FOLDER/begun-\(number); until [ -e $FOLDER/go ]; do sleep 0.05; done; touch $FOLDER/end-\(number)",
                ["TCPKNOCK_GUEST": "guest \(number)"])
        }
        func begun() throws -> [String] { try folder.names.filter { $0.hasPrefix("begun") } }
        #expect(try eventually { try begun().count == 2 })
        _ = try folder.write("go", [])
        #expect(try eventually { try folder.names.filter { $0.hasPrefix("end") }.count == 5 })
        #expect(lines == [])
    }

    @Test("One guest neither fills the line of those that wait nor all that run")
    func shares() throws {
        let runner = try runner(limit: 2, waiting: 4)
        defer { runner.shutDown() }
        let hostile = ["TCPKNOCK_GUEST": "mallory"]
        for _ in 0..<20 {
            try run(runner, "echo >>$FOLDER/begun; until [ -e $FOLDER/go ]; do sleep 0.05; done", hostile)
        }
        try #require(eventually { read("begun") == "\n" })
        for number in 0..<3 { try run(runner, "echo >>$FOLDER/ran", ["TCPKNOCK_GUEST": "guest \(number)"]) }
        #expect(eventually { read("ran") == "\n\n\n" })
        #expect(read("begun") == "\n")
        #expect(eventually { lines.contains { $0.contains("too many are waiting") && $0.contains("guest=mallory") } })
        _ = try folder.write("go", [])
    }

    @Test("With a limit of one they run one after the other, in order")
    func order() throws {
        let runner = try runner(limit: 1)
        defer { runner.shutDown() }
        for number in 0..<10 {
            try run(
                runner, "[ ! -e $FOLDER/busy ] && touch $FOLDER/busy && echo \(number) >>$FOLDER/all && rm $FOLDER/busy"
            )
        }
        #expect(eventually { read("all")?.split(separator: "\n").count == 10 })
        #expect(read("all") == (0..<10).map { "\($0)\n" }.joined())
    }

    @Test("What finds no room is dropped and counted")
    func dropped() throws {
        let runner = try runner(limit: 1, waiting: 2)
        defer { runner.shutDown() }
        try run(runner, "touch $FOLDER/begun; until [ -e $FOLDER/go ]; do sleep 0.05; done")
        try #require(eventually { read("begun") != nil })
        for _ in 0..<10 { try run(runner, "echo >>$FOLDER/ran") }
        func counted() -> Int {
            lines.filter { $0.hasPrefix("warning hooks not run: too many") }
                .compactMap { $0.firstMatch(of: #/count=(\d+)/#).flatMap { Int($0.1) } }.reduce(0, +)
        }
        #expect(eventually { counted() == 8 })
        #expect(lines.count <= 2)
        _ = try folder.write("go", [])
        #expect(eventually { read("ran") == "\n\n" })
    }

    // MARK: How they end

    @Test(
        "Failures are logged with the first line of standard error",
        arguments: [
            ("echo one >&2; echo two >&2; exit 3", "hook ended with status 3", "one"),
            ("printf 'no end of line' >&2; exit 1", "hook ended with status 1", "no end of line"),
            ("kill -9 $$", "hook was ended by signal 9", nil),
            ("exit 255", "hook ended with status 255", nil),
            ("printf '%01000d' 0 >&2; exit 1", "hook ended with status 1", String(repeating: "0", count: 200)),
            ("printf 'a\\377b\\n' >&2; exit 1", "hook ended with status 1", "a\u{fffd}b"),
        ] as [(String, String, String?)])
    func failure(_ text: String, _ message: String, _ firstLine: String?) throws {
        let runner = try runner()
        defer { runner.shutDown() }
        try run(runner, text, ["TCPKNOCK_EVENT": "admit", "TCPKNOCK_GUEST": "alice"])
        #expect(eventually { !lines.isEmpty })
        let error = firstLine.map { " stderr=\($0)" } ?? ""
        #expect(lines == ["warning \(message) {guest=alice hook=admit program=/bin/sh\(error)}"])
    }

    @Test("Control characters of standard error do not reach the log")
    func controlCharacters() async throws {
        let folder = folder.path.string
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            [folder = folder as String] in
            let logger = Logger(label: "test") { _ in LogLineHandler(level: .info, format: .text) }
            let runner = try HookRunner(limit: 8, seconds: 10, logger: logger)
            let text = #"touch $FOLDER/begun; printf '\033[31mred\r\n' >&2; exit 1"#
            runner.run(try #require(HookCommand(shell: text)), environment: ["FOLDER": folder])
            #expect(eventually { access("\(folder)/begun", F_OK) == 0 })
            // What runs is given its time.
            runner.shutDown()
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(text.contains(#"stderr="\u001b[31mred\r""#))
    }

    @Test(
        "What cannot be started is logged",
        arguments: ["/nonexistent/hook", "no-such-program-in-path", "/etc/passwd", "/"])
    func notStarted(_ program: String) throws {
        let runner = try runner()
        defer { runner.shutDown() }
        runner.run(try #require(HookCommand(arguments: [program, "x"])), environment: [:])
        #expect(eventually { !lines.isEmpty })
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("warning hook could not be started: posix_spawn: ") == true)
        #expect(lines.first?.hasSuffix("{program=\(program)}") == true)
    }

    @Test("Success is silent, and leaves no zombie")
    func success() throws {
        let runner = try runner()
        try run(runner, "echo $$ >$FOLDER/a; mv $FOLDER/a $FOLDER/id; echo noise >&2")
        let id = try #require(Int32(try content(of: "id").dropLast()))
        #expect(eventually { kill(id, 0) == -1 && errno == ESRCH })
        runner.shutDown()
        #expect(lines == [])
    }

    @Test("Other children of the process are left to whoever waits for them")
    func otherChildren() async {
        await #expect(processExitsWith: .success) {
            let collector = LineCollector()
            let runner = try HookRunner(limit: 8, seconds: 10, logger: Logger(label: "test") { _ in collector })
            var other: pid_t = 0
            var arguments: [UnsafeMutablePointer<CChar>?] =
                ["/bin/sh", "-c", "exit 7"].map { (text: String) in strdup(text) } + [nil]
            defer { for argument in arguments { free(argument) } }
            try #require(posix_spawn(&other, "/bin/sh", nil, nil, &arguments, nil) == 0)
            for _ in 0..<20 { runner.run(try #require(HookCommand(shell: "exit 1")), environment: [:]) }
            #expect(eventually { collector.all.count == 20 })
            runner.shutDown()
            var status: Int32 = 0
            #expect(waitpid(other, &status, 0) == other)
            #expect(status == 7 << 8)
        }
    }

    @Test("A command is over when it ends, though a child keeps its standard error")
    func backgroundChild() throws {
        let runner = try runner()
        defer { runner.shutDown() }
        try run(runner, "sleep 60 & echo $! >$FOLDER/a; mv $FOLDER/a $FOLDER/id; echo left >&2; exit 5")
        let child = try #require(Int32(try content(of: "id").dropLast()))
        defer { kill(child, SIGKILL) }
        #expect(eventually(within: 10) { !lines.isEmpty })
        #expect(lines.first?.contains("status 5") == true)
        #expect(Self.runs(child))
    }

    // MARK: The time limit

    @Test("At the time limit the whole group ends", arguments: [true, false])
    func timeLimit(_ ignoresSignals: Bool) throws {
        let runner = try runner(seconds: 1)
        defer { runner.shutDown() }
        let trap = ignoresSignals ? "trap '' TERM; " : ""
        try run(
            runner, "\(trap)sleep 60 & echo $$ $! >$FOLDER/a; mv $FOLDER/a $FOLDER/ids; echo stuck >&2; wait; sleep 60")
        let ids = try content(of: "ids").split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
        try #require(ids.count == 2)
        #expect(ids.allSatisfy(Self.runs))
        #expect(eventually { !lines.isEmpty })
        #expect(lines == ["warning hook was ended since it took longer than 1 s {program=/bin/sh stderr=stuck}"])
        #expect(eventually(within: 5) { !ids.contains(where: Self.runs) })
    }

    @Test("A member of the group that ignores SIGTERM ends too, though its command has ended by it")
    func timeLimitOfMembers() throws {
        let runner = try runner(seconds: 1)
        defer { runner.shutDown() }
        try run(runner, "(trap '' TERM; exec sleep 60) & echo $$ $! >$FOLDER/a; mv $FOLDER/a $FOLDER/ids; sleep 60")
        let ids = try content(of: "ids").split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
        try #require(ids.count == 2)
        #expect(eventually { !lines.isEmpty })
        #expect(eventually(within: 5) { !ids.contains(where: Self.runs) })
    }

    @Test("Endless standard error ends at the time limit, and keeps no other hook from running")
    func endlessErrors() throws {
        let runner = try runner(seconds: 2)
        defer { runner.shutDown() }
        try run(runner, "exec yes >&2")
        try run(runner, "touch $FOLDER/ran")
        #expect(eventually(within: 2) { read("ran") != nil })
        #expect(eventually { !lines.isEmpty })
        #expect(lines == ["warning hook was ended since it took longer than 2 s {program=/bin/sh stderr=y}"])
    }

    @Test("Much standard error is read to its end")
    func muchErrors() throws {
        let runner = try runner()
        defer { runner.shutDown() }
        try run(runner, "head -c 1000000 /dev/zero >&2 && touch $FOLDER/written")
        #expect(eventually { read("written") != nil })
    }

    // MARK: The end

    @Test("At the end what waits is dropped, and what runs is ended within 3 seconds")
    func shutDown() throws {
        let runner = try runner(limit: 1, seconds: 1000)
        try run(runner, "trap '' TERM; echo $$ >$FOLDER/a; mv $FOLDER/a $FOLDER/id; while :; do sleep 1; done")
        let id = try #require(Int32(try content(of: "id").dropLast()))
        for _ in 0..<3 { try run(runner, "touch $FOLDER/ran") }
        let before = SystemClock.now().uptime
        runner.shutDown()
        #expect(SystemClock.now().uptime - before < 6000)
        #expect(!Self.runs(id))
        #expect(lines.contains("warning hooks not run: the daemon ends {count=3}"))
        #expect(lines.contains { $0.hasPrefix("warning hook was ended since the daemon ends") })
        // Nothing is run any more, and ending twice is no harm.
        try run(runner, "touch $FOLDER/ran")
        runner.shutDown()
        #expect(read("ran") == nil)
    }

    @Test("What ends by itself in time is not disturbed by the end")
    func shutDownWaits() throws {
        let runner = try runner()
        try run(runner, "touch $FOLDER/begun; sleep 0.3; touch $FOLDER/done")
        try #require(eventually { read("begun") != nil })
        runner.shutDown()
        #expect(read("done") != nil)
        #expect(lines == [])
    }

    @Test("A command must name a program")
    func commands() {
        #expect(HookCommand(arguments: []) == nil)
        #expect(HookCommand(arguments: [""]) == nil)
        #expect(HookCommand(arguments: ["a", ""])?.arguments == ["a", ""])
        #expect(HookCommand(shell: " \t\r\n") == nil)
        #expect(HookCommand(shell: "a b")?.arguments == ["/bin/sh", "-c", "a b"])
    }
}

extension HookCommand {
    /// Writes the links of /proc/self/fd and /proc/self/cwd to `list` in a folder.
    fileprivate static func listDescriptors(_ folder: String) -> HookCommand? {
        HookCommand(arguments: [
            "find", "/proc/self/fd", "/proc/self/cwd", "-type", "l", "-fprintf", "\(folder)/list", "%f %l\n",
        ])
    }
}
