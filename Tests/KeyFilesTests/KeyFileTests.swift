// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KeyFiles
import KnockProtocol
import Linux
import SystemPackage
import TestSupport
import Testing

@Suite struct KeyFileTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Content that passes: not all the same.
    private static let content = (0..<KeyFile.length).map { UInt8(truncatingIfNeeded: $0 >> 3 ^ $0) }

    private func failure(of path: FilePath) -> KeyFileError? {
        do throws(KeyFileError) {
            _ = try KeyFile.read(path)
            return nil
        } catch {
            return error
        }
    }

    @Test("A good file of any mode that keeps others out", arguments: [0o600, 0o400, 0o700, 0o500, 0o711, 0o1600])
    func goodFile(_ mode: UInt16) throws {
        let path = try folder.write("key", Self.content, mode: mode)
        let keys = try KeyFile.read(path)
        #expect(keys.fingerprint == (try KeySchedule(material: Self.content.span).fingerprint))
    }

    @Test func publishedKey() throws {
        let path = try folder.write("key", Repository.read("keys/test-vector.dat"))
        #expect(try KeyFile.read(path).fingerprint == "4863-6dae-c3e5-ef0e-605e-7f7f-6c80-fce9")
    }

    @Test(
        "A mode that lets others in",
        arguments: [0o640, 0o620, 0o604, 0o602, 0o660, 0o606, 0o666, 0o644, 0o777, 0o060, 0o006])
    func accessibleByOthers(_ mode: UInt16) throws {
        let path = try folder.write("key", Self.content, mode: mode)
        // Without privileges the owner cannot even open a file that only others may read.
        guard geteuid() == 0 || mode & 0o400 != 0 else { return #expect(failure(of: path) != nil) }
        let error = try #require(failure(of: path))
        #expect(error == .accessibleByOthers(path, mode: mode))
        #expect(error.description.contains("mode 0\(String(mode, radix: 8))"))
        #expect(error.description.contains("chmod 600 \(path)"))
    }

    @Test("Another length", arguments: [0, 1, 65_535, 65_537, 131_072])
    func wrongLength(_ length: Int) throws {
        let path = try folder.write("key", Array((Self.content + Self.content).prefix(length)))
        let error = try #require(failure(of: path))
        #expect(error == .wrongLength(path, Int64(length)))
        #expect(error.description.contains("\(path): \(length) bytes long"))
        #expect(error.description.contains("exactly 65536"))
    }

    @Test("One byte all over", arguments: [0x00, 0xff, 0x0a] as [UInt8])
    func constantContent(_ byte: UInt8) throws {
        let path = try folder.write("key", [UInt8](repeating: byte, count: KeyFile.length))
        let error = try #require(failure(of: path))
        #expect(error == .notRandom(path))
        #expect(error.description.contains(path.string))
        #expect(error.description.contains("keygen"))
    }

    @Test("One other byte is enough not to be constant", arguments: [0, 1, 65_535])
    func almostConstantContent(_ position: Int) throws {
        var content = [UInt8](repeating: 0, count: KeyFile.length)
        content[position] = 1
        let path = try folder.write("key", content)
        #expect(failure(of: path) == nil)
    }

    @Test func missing() throws {
        let path = folder.path.appending("none")
        let error = try #require(failure(of: path))
        #expect(error == .system(call: "open", path: path, .noSuchFileOrDirectory))
        #expect(error.description.contains("there is no such file"))
        #expect(error.description.contains("keygen \(path)"))
    }

    @Test func folderInsteadOfFile() throws {
        let error = try #require(failure(of: folder.path))
        #expect(error == .notARegularFile(folder.path))
        #expect(error.description.contains(folder.path.string))
        #expect(error.description.contains("65536 bytes"))
    }

    @Test func device() {
        #expect(failure(of: "/dev/zero") == .notARegularFile("/dev/zero"))
    }

    @Test("A pipe that nobody writes to does not keep the reader waiting", .timeLimit(.minutes(1)))
    func pipe() throws {
        let path = folder.path.appending("pipe")
        try #require(mkfifo(path.string, 0o600) == 0)
        #expect(failure(of: path) == .notARegularFile(path))
    }

    @Test func pathThroughAFile() throws {
        let path = try folder.write("key", Self.content).appending("more")
        #expect(failure(of: path) == .system(call: "open", path: path, .notDirectory))
    }

    @Test func symbolicLinkToAGoodFile() throws {
        let target = try folder.write("key", Self.content)
        let link = folder.path.appending("link")
        try #require(symlink(target.string, link.string) == 0)
        #expect(try KeyFile.read(link).fingerprint == KeyFile.read(target).fingerprint)
    }

    @Test("The mode that counts is that of the file, not of the link")
    func symbolicLinkToAnOpenFile() throws {
        let target = try folder.write("key", Self.content, mode: 0o644)
        let link = folder.path.appending("link")
        try #require(symlink(target.string, link.string) == 0)
        #expect(failure(of: link) == .accessibleByOthers(link, mode: 0o644))
    }

    @Test func danglingLink() throws {
        let link = folder.path.appending("link")
        try #require(symlink("none", link.string) == 0)
        #expect(failure(of: link) == .system(call: "open", path: link, .noSuchFileOrDirectory))
    }

    @Test func unreadable() async throws {
        let path = try folder.write("key", Self.content, mode: 0o200).string
        await #expect(processExitsWith: .success) { [path = path as String] in
            dropPrivileges()
            defer { regainPrivileges() }
            #expect(throws: KeyFileError.system(call: "open", path: FilePath(path), .permissionDenied)) {
                try KeyFile.read(FilePath(path))
            }
        }
    }
}
