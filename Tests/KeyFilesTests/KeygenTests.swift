// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KeyFiles
import KnockProtocol
import Linux
import SystemPackage
import TestSupport
import Testing

@Suite struct KeygenTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func failure(of path: FilePath, replacing: Bool = false) -> KeyFileError? {
        do throws(KeyFileError) {
            _ = try Keygen.write(path, replacing: replacing)
            return nil
        } catch {
            return error
        }
    }

    @Test func newKey() throws {
        let path = folder.path.appending("key")
        let keys = try Keygen.write(path, replacing: false)
        #expect(try folder.names == ["key"])
        #expect(try folder.mode("key") == 0o600)
        let content = try folder.read("key")
        #expect(content.count == 65_536)
        // Each byte comes up 256 times in the mean; with random content none of them never does.
        #expect(Set(content).count == 256)
        #expect(try KeyFile.read(path).fingerprint == keys.fingerprint)
        #expect(try KeySchedule(material: content.span).fingerprint == keys.fingerprint)
    }

    @Test func keysDiffer() throws {
        let first = try Keygen.write(folder.path.appending("a"), replacing: false)
        let second = try Keygen.write(folder.path.appending("b"), replacing: false)
        #expect(first.fingerprint != second.fingerprint)
        #expect(try folder.read("a") != folder.read("b"))
        #expect(try folder.names == ["a", "b"])
    }

    @Test func fingerprintIsEightGroupsOfFourDigits() throws {
        let groups = try Keygen.write(folder.path.appending("key"), replacing: false).fingerprint.split(separator: "-")
        #expect(groups.count == 8)
        #expect(groups.allSatisfy { $0.count == 4 && $0.allSatisfy { "0123456789abcdef".contains($0) } })
    }

    @Test("The mode is 0600 whatever the umask", arguments: [0o000, 0o022, 0o077, 0o277, 0o777] as [UInt32])
    func umask(_ mask: UInt32) async throws {
        let path = folder.path.appending("key").string
        await #expect(processExitsWith: .success) { [path = path as String, mask = mask as UInt32] in
            let former = Glibc.umask(mask)
            // What the process leaves behind at its end, such as a coverage profile, is to have its usual mode.
            defer { _ = Glibc.umask(former) }
            _ = try Keygen.write(FilePath(path), replacing: false)
        }
        #expect(try folder.names == ["key"])
        #expect(try folder.mode("key") == 0o600)
    }

    @Test("The mode is 0600 whatever the umask, for a user without privileges too", arguments: [0o000, 0o277, 0o777])
    func umaskWithoutPrivileges(_ mask: UInt32) async throws {
        let path = folder.path.appending("key").string
        await #expect(processExitsWith: .success) { [path = path as String, mask = mask as UInt32] in
            dropPrivileges()
            defer { regainPrivileges() }
            let former = Glibc.umask(mask)
            // What the process leaves behind at its end, such as a coverage profile, is to have its usual mode.
            defer { _ = Glibc.umask(former) }
            _ = try Keygen.write(FilePath(path), replacing: false)
        }
        #expect(try folder.names == ["key"])
        #expect(try folder.mode("key") == 0o600)
    }

    @Test func existingFileStays() throws {
        let path = try folder.write("key", [1, 2, 3], mode: 0o640)
        let error = try #require(failure(of: path))
        #expect(error == .alreadyExists(path))
        #expect(error.description.contains("--force"))
        #expect(try folder.read("key") == [1, 2, 3])
        #expect(try folder.mode("key") == 0o640)
        #expect(try folder.names == ["key"])
    }

    @Test("What is replaced is a key afterwards, with its mode")
    func replacing() throws {
        let path = try folder.write("key", [1, 2, 3], mode: 0o644)
        let keys = try Keygen.write(path, replacing: true)
        #expect(try folder.names == ["key"])
        #expect(try folder.mode("key") == 0o600)
        #expect(try folder.read("key").count == 65_536)
        #expect(try KeyFile.read(path).fingerprint == keys.fingerprint)
    }

    @Test func replacingNothing() throws {
        let path = folder.path.appending("key")
        _ = try Keygen.write(path, replacing: true)
        #expect(try folder.names == ["key"])
    }

    @Test("A symbolic link is not written through", arguments: [true, false])
    func symbolicLink(_ replacing: Bool) throws {
        let target = try folder.write("target", [1])
        let link = folder.path.appending("link")
        try #require(symlink(target.string, link.string) == 0)
        #expect(failure(of: link, replacing: replacing) == (replacing ? .notARegularFile(link) : .alreadyExists(link)))
        #expect(try folder.read("target") == [1])
        #expect(try folder.names == ["link", "target"])
    }

    @Test func danglingLinkIsNotWrittenThrough() throws {
        let link = folder.path.appending("link")
        try #require(symlink("target", link.string) == 0)
        #expect(failure(of: link) == .alreadyExists(link))
        #expect(try folder.names == ["link"])
    }

    @Test("A folder is not replaced", arguments: [true, false])
    func folderAsTarget(_ replacing: Bool) throws {
        let expected: KeyFileError = replacing ? .notARegularFile(folder.path) : .alreadyExists(folder.path)
        #expect(failure(of: folder.path, replacing: replacing) == expected)
        #expect(try folder.names == [])
    }

    @Test func missingFolder() throws {
        let path = folder.path.appending("none/key")
        let error = try #require(failure(of: path))
        guard case .system("create", let failed, .noSuchFileOrDirectory) = error else {
            Issue.record("another error: \(error)")
            return
        }
        #expect(failed.removingLastComponent() == folder.path.appending("none"))
        #expect(try folder.names == [])
    }

    @Test("A folder without permission to write stays as it was", arguments: [true, false])
    func unwritableFolder(_ replacing: Bool) async throws {
        let path = try folder.write("key", [1, 2, 3]).string
        try #require(chmod(folder.path.string, 0o555) == 0)
        let target = replacing ? path : folder.path.appending("other").string
        await #expect(processExitsWith: .success) { [target = target as String, replacing = replacing as Bool] in
            dropPrivileges()
            defer { regainPrivileges() }
            #expect {
                try Keygen.write(FilePath(target), replacing: replacing)
            } throws: { error in
                guard case KeyFileError.system("create", _, .permissionDenied) = error else { return false }
                return true
            }
        }
        #expect(try folder.names == ["key"])
        #expect(try folder.read("key") == [1, 2, 3])
    }

    @Test("A disk that fills up leaves nothing behind, and what was there in place", arguments: [true, false])
    func writeFails(_ replacing: Bool) async throws {
        if replacing { _ = try folder.write("key", [1, 2, 3]) }
        let path = folder.path.appending("key").string
        await #expect(processExitsWith: .success) { [path = path as String, replacing = replacing as Bool] in
            // A limit on the size of files does what a full disk does: some bytes are written and no more.
            signal(SIGXFSZ, SIG_IGN)
            let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
            var former = rlimit()
            try #require(getrlimit(resource, &former) == 0)
            var limit = rlimit(rlim_cur: 1000, rlim_max: former.rlim_max)
            try #require(setrlimit(resource, &limit) == 0)
            defer { setrlimit(resource, &former) }
            #expect {
                try Keygen.write(FilePath(path), replacing: replacing)
            } throws: { error in
                guard case KeyFileError.system("write", _, .fileTooLarge) = error else { return false }
                return true
            }
        }
        #expect(try folder.names == (replacing ? ["key"] : []))
        if replacing { #expect(try folder.read("key") == [1, 2, 3]) }
    }

    @Test("A folder that may not be listed: the key is made, or there is an error and nothing is left")
    func unlistableFolder() async throws {
        try #require(chmod(folder.path.string, 0o333) == 0)
        let path = folder.path.appending("key").string
        await #expect(processExitsWith: .success) { [path = path as String] in
            dropPrivileges()
            defer { regainPrivileges() }
            let keys = try? Keygen.write(FilePath(path), replacing: false)
            #expect((keys != nil) == (access(path, F_OK) == 0))
        }
    }

    @Test("A path without a folder is in the current one")
    func relativePath() async throws {
        let path = folder.path.string
        await #expect(processExitsWith: .success) { [path = path as String] in
            try #require(chdir(path) == 0)
            _ = try Keygen.write("key", replacing: false)
        }
        #expect(try folder.names == ["key"])
    }

    @Test func longestName() throws {
        let path = folder.path.appending(String(repeating: "k", count: 300))
        guard case .system("create", _, .fileNameTooLong) = failure(of: path) else {
            Issue.record("no error for a name that is too long")
            return
        }
        #expect(try folder.names == [])
    }
}
