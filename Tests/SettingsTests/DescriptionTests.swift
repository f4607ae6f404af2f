// SPDX-License-Identifier: GPL-2.0-or-later
import SystemPackage
import TestSupport
import Testing

@testable import Settings

/// What follows from the descriptions of the settings, and what the documents say of them.
@Suite("Descriptions of the settings") struct DescriptionTests {
    private static func parse<Settings: DaemonSettings>(_ text: String, _: Settings.Type) throws -> Settings {
        try SettingsFile<Settings>.parse(Array(text.utf8), "/etc/tcpknock/f.toml", now: 0).settings
    }

    private func check<Settings: DaemonSettings>(_: Settings.Type) throws {
        let sample = Settings.sample
        #expect(try Self.parse(sample, Settings.self) == Settings(), "nothing is set in it")
        let lines = sample.split(separator: "\n").filter { $0.first == "#" && $0.dropFirst().first != " " }
        let names = Settings.settings.compactMap(\.key) + Settings.tables.flatMap(\.keys)
        #expect(lines.map { $0.dropFirst().prefix { $0 != " " } }.map(String.init) == names.filter { $0 != "port" })
        for line in lines { #expect(line.count <= 100, "\(line)") }

        // Each setting by itself, with the # before it removed; a default changes nothing.
        for setting in Settings.settings {
            guard let key = setting.key else { continue }
            let line = try #require(lines.first { $0.hasPrefix("#\(key) = ") }).dropFirst()
            let settings = try Self.parse("\(line)\n", Settings.self)
            if setting.usual != nil { #expect(settings.filled == Settings().filled, "\(line)") }
        }
        // All tables of the sample, with everything in them set.
        let tables = try #require(sample.firstRange(of: "# [[")).lowerBound
        let text = sample[tables...].split(separator: "\n").map { line in
            line.hasPrefix("# [[") ? line.dropFirst(2) : line.hasPrefix("# ") ? line : line.dropFirst()
        }
        #expect(try Self.parse(text.joined(separator: "\n"), Settings.self) != Settings())
    }

    @Test("The sample configuration says what the defaults are, and can be used") func sample() throws {
        try check(ServerSettings.self)
        try check(ClientSettings.self)
    }

    @Test("Names are there once, and each help is a sentence") func names() {
        func check<Settings: DaemonSettings>(_: Settings.Type) {
            let flags = Settings.settings.map(\.flag.name)
            #expect(Set(flags).count == flags.count)
            let keys = Settings.settings.compactMap(\.key)
            #expect(Set(keys).count == keys.count)
            for setting in Settings.settings {
                for help in [setting.help, setting.flagHelp] {
                    #expect(help.first?.isUppercase == true && help.last == ".", "\(help)")
                }
            }
        }
        check(ServerSettings.self)
        check(ClientSettings.self)
    }

    // MARK: The document

    /// A setting as a daemon has it.
    private struct Entry {
        let key: String
        let defaultText: String
        let takesRestart: Bool

        static func all<Settings: DaemonSettings>(_: Settings.Type) -> [Entry] {
            Settings.settings.compactMap { setting in
                guard let key = setting.key else { return nil }
                let usual = setting.usual?.text ?? ""
                return Entry(
                    key: key, defaultText: ["", "\"\"", "[]"].contains(usual) ? "none" : "`\(usual)`",
                    takesRestart: setting.change == .atStart)
            }
        }
    }

    /// Returns the part of docs/CONFIGURATION.md under a heading.
    private static func section(_ heading: String) throws -> [Substring] {
        let text = try String(decoding: Repository.read("docs/CONFIGURATION.md"), as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0 == "## \(heading)" })
        return Array(lines[(start + 1)...].prefix { !$0.hasPrefix("## ") })
    }

    /// Compares a section with the settings: a row for each in its table, and those that take a restart.
    private func compare(_ heading: String, _ expected: [(key: String, default: String, takesRestart: Bool)]) throws {
        let lines = try Self.section(heading)
        var found: [String: String] = [:]
        // The table of settings is the first.
        for line in lines.drop(while: { !$0.hasPrefix("|") }).prefix(while: { $0.hasPrefix("|") }).dropFirst(2) {
            let cells = line.split(separator: "|").map { $0.trimmed }
            let keys = cells[0].split(separator: ", ").map { $0.filter { $0 != "`" } }
            let values = keys.count == 1 ? [cells[1]] : cells[1].split(separator: ", ").map(String.init)
            for (index, key) in keys.enumerated() { found[key] = values.count == 1 ? values[0] : values[index] }
        }
        #expect(found.keys.sorted() == expected.map(\.key).sorted())
        for (key, usual, _) in expected { #expect(found[key] == usual, "\(key)") }
        let restart = lines.first { $0.hasPrefix("A change of these takes a restart: ") } ?? ""
        let keys = restart.split(separator: "`").filter { !$0.contains(" ") && !$0.contains(".") }.map(String.init)
        #expect(keys.sorted() == expected.filter(\.takesRestart).map(\.key).sorted())
    }

    @Test("docs/CONFIGURATION.md has every setting, its default, and what takes a restart") func document() throws {
        let (server, client) = (Entry.all(ServerSettings.self), Entry.all(ClientSettings.self))
        let others = Dictionary(uniqueKeysWithValues: client.map { ($0.key, $0) })
        let both = server.compactMap { entry in
            others[entry.key].map { other in
                let usual = entry.defaultText
                return (
                    entry.key, other.defaultText == usual ? usual : "\(usual), client \(other.defaultText)",
                    entry.takesRestart && other.takesRestart
                )
            }
        }
        try compare("Both daemons", both)
        let own = server.filter { others[$0.key] == nil }
        try compare("The server", own.map { ($0.key, $0.defaultText, $0.takesRestart) })
        let shared = Set(server.map(\.key))
        let clients = client.filter { !shared.contains($0.key) }
        try compare("The client", clients.map { ($0.key, $0.defaultText, $0.takesRestart) })
    }

    @Test("docs/CONFIGURATION.md shows every setting of guests and targets") func tables() throws {
        for (heading, keys) in [
            ("The server", ServerSettings.tables.flatMap(\.keys)),
            ("The client", ClientSettings.tables.flatMap(\.keys)),
        ] {
            let text = try Self.section(heading).joined(separator: "\n")
            for key in keys where key != "port" {
                let isShown = text.contains("\n\(key) = ") || text.contains("# \(key)") || text.contains(", \(key)")
                #expect(isShown, "\(key)")
            }
        }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
