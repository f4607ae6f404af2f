// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import TestSupport
import Testing

@testable import Linux

@Suite("Child processes") struct ChildProcessTests {
    /// Runs a shell with a script, and returns what it wrote to both pipes and how it ended.
    private func run(
        _ script: String, _ streams: ChildProcess.Streams, input: String? = nil
    ) throws -> (output: String, errors: String, end: ChildProcess.End?) {
        let child = try ChildProcess(["sh", "-c", script], environment: ["X": "y"], streams: streams)
        if let input {
            #expect(write(child.standardInput, input, input.utf8.count) == input.utf8.count)
            close(child.standardInput)
        }
        var pipes = [PipeReader(child.standardOutput), PipeReader(child.standardError)]
        var texts: [[UInt8]] = [[], []]
        for index in pipes.indices where pipes[index].descriptor >= 0 {
            while !pipes[index].isAtEnd {
                var descriptor = pollfd(fd: pipes[index].descriptor, events: Int16(POLLIN), revents: 0)
                try #require(poll(&descriptor, 1, 10_000) == 1)
                texts[index] += pipes[index].read(limit: 1 << 20)
            }
        }
        let end = child.end(within: 10_000)
        for descriptor in [child.standardOutput, child.standardError, child.processDescriptor] where descriptor >= 0 {
            close(descriptor)
        }
        return (String(decoding: texts[0], as: UTF8.self), String(decoding: texts[1], as: UTF8.self), end)
    }

    @Test("Only errors are heard") func errors() throws {
        let result = try run("cat; echo out; echo error $X >&2; pwd >&2; exit 3", .errors)
        #expect(result == ("", "error y\n/\n", .exited(3)))
    }

    @Test("It is told something, and answers") func conversation() throws {
        let result = try run("read line; echo $line; echo error >&2", .conversation, input: "hello\n")
        #expect(result == ("", "hello\nerror\n", .exited(0)))
    }

    @Test("Output and errors apart") func output() throws {
        let result = try run("cat; echo out; echo error >&2; kill -9 $$", .output)
        #expect(result == ("out\n", "error\n", .signalled(SIGKILL)))
    }

    @Test("It inherits no signal mask and no open file") func inheritance() throws {
        let result = try run("grep SigBlk /proc/self/status; ls /proc/self/fd | wc -l", .output)
        // ls has the folder open, too.
        #expect(result.output == "SigBlk:\t0000000000000000\n4\n")
    }

    @Test("The whole group is ended") func group() throws {
        let child = try ChildProcess(["sh", "-c", "sleep 60 & wait"], environment: [:], streams: .output)
        defer { child.closeDescriptors() }
        #expect(child.end(within: 50) == nil)
        child.signalGroup(SIGKILL)
        #expect(child.end(within: 10_000) == .signalled(SIGKILL))
        // The pipe is at its end only when nobody has it open.
        var output = PipeReader(child.standardOutput)
        #expect(eventually { output.read(limit: 1) == [] && output.isAtEnd })
    }

    @Test func missing() {
        #expect(throws: SystemError("posix_spawn", ENOENT)) {
            _ = try ChildProcess(["/no/such/program"], environment: [:], streams: .output)
        }
    }
}
