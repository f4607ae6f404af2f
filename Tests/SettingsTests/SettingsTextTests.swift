// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import Settings

@Suite("Files that are trusted") struct SettingsTextTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func failure(_ path: FilePath) -> SettingsError? {
        do throws(SettingsError) {
            _ = try ServerSettings.read(path)
            return nil
        } catch {
            return error
        }
    }

    @Test("Own files that only their owner may write", arguments: [0o600, 0o644, 0o444, 0o755] as [UInt16])
    func trusted(_ mode: UInt16) throws {
        let path = try folder.write("f.toml", Array("mark = 0x4000\nkey_file = \"k\"\n".utf8), mode: mode)
        let settings = try ServerSettings.read(path)
        #expect(settings.mark == 0x4000)
        #expect(settings.keyFile == folder.path.appending("k"))
    }

    @Test("Files that others may write", arguments: [0o620, 0o602, 0o666] as [UInt16])
    func writable(_ mode: UInt16) throws {
        let path = try folder.write("f.toml", [], mode: mode)
        #expect(failure(path) == .writableByOthers(path, mode: mode))
        #expect(failure(path)?.description.contains("chmod go-w \(path)") == true)
    }

    @Test("Files of somebody else", .enabled(if: geteuid() == 0)) func foreign() throws {
        let path = try folder.write("f.toml", [])
        try #require(chown(path.string, 65_534, 65_534) == 0)
        #expect(failure(path) == .foreign(path, owner: 65_534))
        #expect(failure(path)?.description.contains("chown root") == true)
    }

    @Test("The owner may be the one who reads", .enabled(if: geteuid() == 0)) func own() async throws {
        let path = try folder.write("f.toml", []).string
        try #require(chown(path, 65_534, 65_534) == 0)
        await #expect(processExitsWith: .success) { [path = path as String] in
            dropPrivileges()
            defer { regainPrivileges() }
            _ = try ServerSettings.read(FilePath(path))
        }
    }

    @Test func noFile() throws {
        let path = folder.path.appending("none")
        #expect(failure(path) == .system(call: "open", path, .noSuchFileOrDirectory))
        #expect(failure(folder.path) == .notARegularFile(folder.path))
        let pipe = folder.path.appending("pipe")
        try #require(mkfifo(pipe.string, 0o600) == 0)
        #expect(failure(pipe) == .notARegularFile(pipe))
    }

    @Test("Files are bounded") func length() throws {
        let full = try folder.write("full.toml", [UInt8](repeating: UInt8(ascii: "\n"), count: 1 << 20))
        #expect(failure(full) == nil)
        let long = try folder.write("long.toml", [UInt8](repeating: UInt8(ascii: "\n"), count: 1 << 20 + 1))
        #expect(failure(long) == .tooLong(long))
    }

    @Test("Damaged files are refused, or read; never more") func damage() throws {
        var generator = SeededGenerator("damage")
        let original = Array((SettingsTests.fullServer + "\n").utf8)
        var refused = 0
        for _ in 0..<2_000 {
            var text = original
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                text[Int.random(in: text.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                text.removeSubrange(Int.random(in: text.indices, using: &generator)...)
            }
            do throws(SettingsError) {
                _ = try SettingsFile<ServerSettings>.parse(text, "f")
            } catch {
                refused += 1
                #expect(!error.description.isEmpty)
            }
        }
        #expect(refused > 1_000)
    }

    @Test(
        "The nearest key", arguments: [("mark", "mark", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3)])
    func distance(_ one: String, _ other: String, _ distance: Int) {
        #expect(editDistance(one, other) == distance)
        #expect(editDistance(other, one) == distance)
    }
}
