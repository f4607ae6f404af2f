// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Linux
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

    // proc_pid_pagemap(5) goes on for as long as there is address space.
    @Test("A file that is longer than it says is bounded, too") func endless() {
        let path: FilePath = "/proc/self/pagemap"
        #expect(failure(path) == .tooLong(path))
    }

    // Nothing is mapped at address 0, where reading proc_pid_mem(5) begins.
    @Test("A file that cannot be read") func unreadable() {
        let path: FilePath = "/proc/self/mem"
        #expect(failure(path) == .system(call: "read", path, .ioError))
    }

    @Test("Messages name the file and what is wrong with it")
    func messages() {
        let path: FilePath = "/etc/x/f.toml"
        for (error, text) in [
            (.system(call: "open", path, .noSuchFileOrDirectory), "there is no such file"),
            (.system(call: "open", path, .permissionDenied), "open: Permission denied"),
            (.system(call: "read", path, .ioError), "read: Input/output error"),
            (.notARegularFile(path), "not a regular file"),
            (.tooLong(path), "longer than 1048576 bytes, which none needs to be"),
        ] as [(SettingsError, String)] {
            #expect(error.description == "configuration file /etc/x/f.toml: \(text)")
        }
    }

    @Test(
        "No file is too deep", arguments: ["a.", "[", "{a=", "a.b.", "[[", "a.'.'.", "a={", "[{a="])
    func depth(_ unit: String) {
        for count in [1_001, 20_000, 300_000] {
            for ending in ["a=1", "a]=1", ""] {
                let text = Array((String(repeating: unit, count: count) + ending).utf8)
                #expect(throws: SettingsError.self) { try SettingsFile<ServerSettings>.parse(text, "f") }
                #expect(throws: SettingsError.self) {
                    try SettingsFile<ServerSettings>.parse(Array("x = ".utf8) + text, "f")
                }
            }
        }
    }

    @Test(
        "Dots outside strings and comments",
        arguments: [
            ("a.b.c", 2), ("# a.b\na.b", 1), (#""a.b".c"#, 1), ("'a.b'.c", 1), (#""a\".b".c.d"#, 2),
            (#"'a\'.b.'c.'"#, 2), (#"QQQa.X.QQQ.b"#, 1), ("TTTa.X.TTT.b", 1), (#""".a.b"#, 2), (#"QQQa.QQQ"".b"#, 1),
            (#"QQQa\QQQ.QQQ.b"#, 1), ("QQQQQQ.b.c", 2), ("\"open.\na.b", 1), (#""\"#, 0), ("TTT", 0),
            ("[1.5, 2.5]", 2), (##""#".a # ."##, 1),
        ])
    func dots(_ text: String, _ count: Int) {
        // Q and T stand for the two kinds of quotes, and X for a line end.
        let written = text.map { ["Q": "\"", "T": "'", "X": "\n"][$0] ?? String($0) }.joined()
        var scanner = TOMLScanner(Array(written.utf8))
        #expect(scanner.countDots(limit: 100) == count)
    }

    @Test("Every character is written so that it is read again as the same")
    func characters() throws {
        let text = String(String.UnicodeScalarView((0..<0x180).compactMap(Unicode.Scalar.init) + ["\u{10ffff}"]))
        let written = TOMLText.string(text)
        #expect(written.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
        let entries = try parseTOML(Array("a = \(written)\n".utf8))
        guard entries.count == 1, case .string(let read) = entries[0].value.content else {
            Issue.record("\(entries)")
            return
        }
        // Not as strings, of which two can be equal with other characters (\r\n, for one).
        #expect(Array(read.utf8) == Array(text.utf8))
    }

    @Test("Damaged files are refused, or read; never more") func damage() throws {
        var generator = SeededGenerator("damage")
        let original = Array((SettingsTests.fullServer + "\n").utf8)
        var refused = 0
        let marks = Array("[]{}.,=#-:\"'\\\n 0eTx_".utf8)
        for _ in 0..<4_000 {
            var text = original
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                let byte =
                    Bool.random(using: &generator)
                    ? UInt8.random(in: 0...255, using: &generator)
                    : marks[Int.random(in: marks.indices, using: &generator)]
                text[Int.random(in: text.indices, using: &generator)] = byte
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
        #expect(refused > 2_000)
    }

    @Test(
        "The nearest key", arguments: [("mark", "mark", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3)])
    func distance(_ one: String, _ other: String, _ distance: Int) {
        #expect(editDistance(one, other) == distance)
        #expect(editDistance(other, one) == distance)
    }
}
