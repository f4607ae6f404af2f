// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
import SystemPackage
import TestSupport
import Testing

@testable import KeyFiles
@testable import KnockProtocol

@Suite("Bundles") struct KeyBundleTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func write(_ head: String, _ key: KeyMaterial) throws -> FilePath {
        let path = folder.path.appending("bundle")
        unlink(path.string)
        let transaction = FileTransaction()
        try KeyBundle(head: head, key: key).add(to: transaction, at: path)
        try transaction.commit()
        return path
    }

    private func failure(_ path: FilePath) -> FatalError? {
        do throws(FatalError) {
            _ = try KeyBundle.read(path)
            return nil
        } catch {
            return error
        }
    }

    private func isMalformed(_ error: FatalError, _ path: FilePath) -> Bool {
        error.status == .wrongData && error.place == "bundle \(path)"
            && error.cure?.contains("keygen --bundle") == true
    }

    private func notARegularFile(_ path: FilePath) -> FatalError {
        FatalError("not a regular file", at: "bundle \(path)", status: .wrongData)
    }

    private func text(_ path: FilePath) throws -> [UInt8] { try folder.read(path.lastComponent?.string ?? "") }

    @Test("What is written can be read", arguments: ["version = 1", "", "a = 1\nb = \"\"\"x\"\"\""])
    func roundTrip(_ head: String) throws {
        let key = try KeyMaterial.random()
        let path = try write(head, key)
        #expect(try folder.names == ["bundle"])
        #expect(try folder.mode("bundle") == 0o600)
        let bundle = try KeyBundle.read(path)
        #expect(bundle.head == Array(head.utf8))
        #expect(bundle.key.keys.fingerprint == key.keys.fingerprint)
        let bytes = key.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        #expect(bundle.key.withBytes { other in other.indices.map { other[$0] } } == bytes)

        let lines = String(decoding: try text(path), as: UTF8.self).split(separator: "\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 76 })
        #expect(lines.last == "\"\"\"")
    }

    /// The bytes of a right bundle, changed.
    private func changed(_ change: (inout [UInt8]) throws -> Void) throws -> FilePath {
        var bytes = try text(try write("version = 1", try KeyMaterial.random()))
        try change(&bytes)
        return try folder.write("changed", bytes)
    }

    @Test("What is no bundle") func malformed() throws {
        let opening = 11 + 10
        let changes: [(inout [UInt8]) -> Void] = [
            { $0 = [] }, { $0 = Array("version = 1\n".utf8) }, { $0.removeLast() }, { $0.append(10) },
            { $0.removeLast(1000) }, { $0.removeLast(80_000) },
            { $0.remove(at: opening + 5) }, { $0.insert(UInt8(ascii: "A"), at: opening + 5) },
            { $0.insert(contentsOf: Array("AAAA".utf8), at: opening) }, { $0.removeSubrange(opening..<opening + 4) },
            { $0[opening + 3] = UInt8(ascii: "!") }, { $0[opening + 3] = 0 }, { $0[opening + 3] = 0xff },
            { $0[opening + 3] = UInt8(ascii: " ") }, { $0[opening + 3] = UInt8(ascii: "=") },
            { $0.insert(contentsOf: [UInt8](repeating: 10, count: 5000), at: 0) },
            { $0 += [UInt8](repeating: 10, count: 200_000) },
        ]
        for (index, change) in changes.enumerated() {
            let path = try changed(change)
            let error = try #require(failure(path), "change \(index)")
            #expect(isMalformed(error, path) && !error.finding.isEmpty, "change \(index): \(error)")
        }
    }

    @Test("A key whose bytes are all the same is none") func constant() throws {
        let key = try KeyMaterial(try #require(Secret(count: KeyFile.length) { _ in }))
        let path = try write("version = 1", key)
        let error = try #require(failure(path))
        #expect(isMalformed(error, path) && error.finding == "there is no whole key in it")
    }

    @Test("Random damage is refused, or another key; never more") func damage() throws {
        var generator = SeededGenerator("bundle damage")
        let original = try text(try write("version = 1", try KeyMaterial.random()))
        for _ in 0..<60 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                bytes.removeSubrange(Int.random(in: bytes.indices, using: &generator)...)
            }
            let path = try folder.write("damaged", bytes)
            if let error = failure(path) { #expect(isMalformed(error, path), "\(error)") }
        }
    }

    @Test("Files that cannot be trusted") func files() throws {
        let path = try write("version = 1", try KeyMaterial.random())
        try #require(chmod(path.string, 0o640) == 0)
        let error = try #require(failure(path))
        #expect(error.status == .noPermission && error.place == "bundle \(path)")
        #expect(error.finding.contains("mode 0640") && error.cure?.contains("chmod 600 \(path)") == true)
        try #require(chmod(path.string, 0o600) == 0)
        let link = folder.path.appending("link")
        try #require(symlink("bundle", link.string) == 0)
        #expect(failure(link) == notARegularFile(link))
        #expect(failure(folder.path) == notARegularFile(folder.path))
        let pipe = folder.path.appending("pipe")
        try #require(mkfifo(pipe.string, 0o600) == 0)
        #expect(failure(pipe) == notARegularFile(pipe))
        let none = folder.path.appending("none")
        #expect(
            failure(none) == FatalError("open: No such file or directory", at: "bundle \(none)", status: .noInput))
    }
}
