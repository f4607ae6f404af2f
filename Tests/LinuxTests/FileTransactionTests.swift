// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import SystemPackage
import TestSupport
import Testing

@Suite("Several files or none") struct FileTransactionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func path(_ name: String) -> FilePath { folder.path.appending(name) }

    @Test func allAreThere() throws {
        let old = try folder.write("old", [1, 2, 3], mode: 0o640)
        let transaction = FileTransaction()
        try transaction.add(path("new"), [7, 8].span, replacing: false)
        try transaction.add(old, [9].span, mode: 0o644, replacing: true)
        #expect(try folder.read("old") == [1, 2, 3])
        #expect(try folder.names.count == 3)
        try transaction.commit()
        #expect(try folder.names == ["new", "old"])
        #expect(try folder.read("new") == [7, 8])
        #expect(try folder.mode("new") == 0o600)
        #expect(try folder.read("old") == [9])
        #expect(try folder.mode("old") == 0o644)
    }

    @Test("What is not committed leaves nothing") func abandoned() throws {
        let old = try folder.write("old", [1])
        do {
            let transaction = FileTransaction()
            try transaction.makeFolder(path("a/b"))
            try transaction.add(path("a/b/c"), [1].span, replacing: false)
            try transaction.add(old, [2].span, replacing: true)
            #expect(try folder.names.contains("a"))
        }
        #expect(try folder.names == ["old"])
        #expect(try folder.read("old") == [1])
    }

    @Test("If the last one cannot be put in place, those before are taken back")
    func takenBack() throws {
        let first = try folder.write("first", [1], mode: 0o640)
        do {
            let transaction = FileTransaction()
            try transaction.makeFolder(path("sub"))
            try transaction.add(first, [2].span, replacing: true)
            try transaction.add(path("second"), [3].span, replacing: false)
            try transaction.add(path("sub/third"), [4].span, replacing: false)
            // Somebody else was quicker.
            let third = try FileDescriptor.open(
                path("sub/third"), .writeOnly, options: .create, permissions: .ownerReadWrite)
            try third.close()
            #expect(throws: FileError.alreadyExists(path("sub/third"))) { try transaction.commit() }
            unlink(path("sub/third").string)
        }
        #expect(try folder.names == ["first"])
        #expect(try folder.read("first") == [1])
        #expect(try folder.mode("first") == 0o640)
    }

    @Test func whatIsThereStays() throws {
        let old = try folder.write("old", [1])
        let link = path("link")
        try #require(symlink("old", link.string) == 0)
        let transaction = FileTransaction()
        #expect(throws: FileError.alreadyExists(old)) { try transaction.add(old, [2].span, replacing: false) }
        #expect(throws: FileError.alreadyExists(link)) { try transaction.add(link, [2].span, replacing: false) }
        #expect(throws: FileError.notARegularFile(link)) { try transaction.add(link, [2].span, replacing: true) }
        #expect(throws: FileError.notARegularFile(folder.path)) {
            try transaction.add(folder.path, [2].span, replacing: true)
        }
        try transaction.commit()
        #expect(try folder.names == ["link", "old"])
        #expect(try folder.read("old") == [1])
    }

    @Test("Folders are root's alone, and existing ones stay") func folders() throws {
        let transaction = FileTransaction()
        try transaction.makeFolder(path("a/b"))
        try transaction.makeFolder(path("a"))
        try transaction.commit()
        #expect(try folder.mode("a") == 0o700)
        #expect(try folder.mode("a/b") == 0o700)
        #expect(rmdir(path("a/b").string) == 0 && rmdir(path("a").string) == 0)
    }

    @Test("Two at once: the second waits for the end of the first") func lock() throws {
        let descriptor = try FileDescriptor.open(folder.path, .readOnly, options: .directory)
        defer { try? descriptor.close() }
        do {
            let transaction = FileTransaction()
            try transaction.lock(folder.path)
            withExtendedLifetime(transaction) {
                #expect(flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == -1)
            }
        }
        #expect(flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0)
    }

    @Test("A temporary file that an earlier run left is not in the way") func leftOver() throws {
        _ = try folder.write("key.\(getpid()).tmp", [1])
        let transaction = FileTransaction()
        try transaction.add(path("key"), [2].span, replacing: false)
        try transaction.commit()
        #expect(try folder.names == ["key", "key.\(getpid()).tmp"])
    }

    @Test(
        "What people read",
        arguments: [
            (.system(call: "write", "/f", .noSpace), ["/f", "write", "No space left"]),
            (.alreadyExists("/f"), ["/f", "exists"]), (.notARegularFile("/f"), ["/f", "not a regular file"]),
            (.notSynchronised(folder: "/d", .ioError), ["/d", "in place", "power failure"]),
        ] as [(FileError, [String])])
    func descriptions(_ error: FileError, _ parts: [String]) {
        for part in parts { #expect(error.description.contains(part)) }
    }
}
