// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Linux

@Suite("Reading a file") struct FileContentTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test(
        "A file is read to its end or to the limit",
        arguments: [(0, 10), (9, 10), (10, 10), (11, 10), (200_000, 1 << 20), (200_000, 131_072), (200_000, 131_073)])
    func limit(_ length: Int, _ limit: Int) throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let file = try folder.write("file", bytes)
        #expect(try file.content(limit: limit) == Array(bytes.prefix(limit)))
    }

    @Test("Any part of a file, wherever the position is") func parts() throws {
        let file = try FileDescriptor.open(try folder.write("file", [1, 2, 3, 4, 5]), .readOnly)
        defer { try? file.close() }
        try file.seek(offset: 4, from: .start)
        #expect(try file.content(limit: 9) == [1, 2, 3, 4, 5])
        #expect(try file.content(from: 3, limit: 9) == [4, 5])
        #expect(try file.content(from: 5, limit: 9) == [])
        var memory: [UInt8] = [9, 9, 9]
        var span = memory.mutableSpan
        #expect(try file.fill(&span, from: 1) == 3)
        #expect(memory == [2, 3, 4])
        span = memory.mutableSpan
        #expect(try file.fill(&span, from: 4) == 1)
        #expect(memory == [5, 3, 4])
    }

    @Test("The kernel's own files") func proc() throws {
        let status = String(decoding: try ("/proc/self/status" as FilePath).content(limit: 1 << 20), as: UTF8.self)
        #expect(status.contains("Pid:\t\(getpid())\n"))
        #expect(try ("/proc/self/maps" as FilePath).content(limit: 8 << 20).count > 4096)
        #expect(try ("/proc/sys/kernel/random/boot_id" as FilePath).content(limit: 64).count == 37)
        #expect(try ("/dev/zero" as FilePath).content(limit: 100_000).count == 100_000)
    }

    @Test("What cannot be read") func failures() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { try folder.path.appending("none").content(limit: 1) }
        #expect(throws: Errno.isDirectory) { try folder.path.content(limit: 1) }
        let pipe = folder.path.appending("pipe")
        try #require(mkfifo(pipe.string, 0o600) == 0)
        #expect(throws: Errno.illegalSeek, "nobody waits for its writer") { try pipe.content(limit: 1) }
    }

    @Test func paths() throws {
        let file = try folder.write("b", [], mode: 0o644)
        let link = folder.path.appending("a")
        try #require(symlink("some/where", link.string) == 0)
        #expect(link.linkTarget == "some/where" && file.linkTarget == nil)
        #expect(FilePath.ownProgram?.exists == true && FilePath.ownProgram?.isExecutable == true)
        #expect(folder.path.entries == ["a", "b"] && file.entries.isEmpty)
        #expect(file.exists && !file.isExecutable && !link.exists)
    }
}
