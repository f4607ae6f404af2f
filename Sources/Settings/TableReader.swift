// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// Reads settings from one table of a file, and collects the errors.
package final class TableReader {
    /// The folder of the file, to which relative paths refer.
    let folder: FilePath
    let problems: ProblemList
    private let entries: [TOMLEntry]
    private let index: Int?
    private let name: String?
    private var known: [String] = []

    /// Creates a reader for a table.
    ///
    /// - Parameters:
    ///   - entries: The content of the table.
    ///   - folder: The folder of the file.
    ///   - problems: Collects the errors.
    ///   - index: The index among the tables of the same name, counted from 0; nil for the top-level table.
    ///   - name: The name of the table in error messages; nil for the top-level table.
    init(
        _ entries: [TOMLEntry], folder: FilePath, _ problems: ProblemList, index: Int? = nil, name: String? = nil
    ) {
        self.entries = entries
        self.folder = folder
        self.problems = problems
        self.index = index
        self.name = name
    }

    /// The keys that are both present and known.
    var given: Set<String> { Set(entries.map(\.key)).intersection(known) }

    /// Returns whether the table has the key.
    func contains(_ key: String) -> Bool { entries.contains { $0.key == key } }

    /// Has the value of a key read, if the key is present.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - read: Reads the value. Its refusal is recorded as an error.
    func read(_ key: String, _ read: (TOMLValue) throws(Refusal) -> Void) {
        known.append(key)
        guard let entry = entries.first(where: { $0.key == key }) else { return }
        problems.note(SettingsLocation(key, in: index), at: entry.position)
        do throws(Refusal) {
            try read(entry.value)
        } catch {
            problems.add(
                "\(qualified(key)): \(error.text)", key: qualified(key), at: error.position ?? entry.value.position)
        }
    }

    /// Records an error if a required key is missing, but not if its value was refused.
    func require(_ key: String, _ advice: String) {
        guard !contains(key) else { return }
        problems.add(
            "\(name.map { "[[\($0)]]" } ?? "file"): '\(key)' is missing; \(advice)", key: qualified(key),
            at: position)
    }

    /// The position of the table's header; nil for the top-level table.
    private(set) var position: TextPosition?

    /// Returns readers for the tables in an array of tables.
    func tables(_ key: String) -> [TableReader] {
        var values: [TOMLValue] = []
        read(key) { value throws(Refusal) in
            guard case .array(let tables) = value.content else {
                throw Refusal("expected tables, each under a line [[\(key)]]")
            }
            values = tables
        }
        return values.enumerated().compactMap { index, value in
            guard case .table(let entries) = value.content else {
                problems.add(
                    "\(key): expected tables, each under a line [[\(key)]]", key: key, at: value.position)
                return nil
            }
            let table = TableReader(entries, folder: folder, problems, index: index, name: key)
            table.position = value.position
            problems.note(SettingsLocation("", in: index), at: value.position)
            return table
        }
    }

    /// Records an error for each key that was not read.
    func refuseUnknownKeys() {
        for entry in entries where !known.contains(entry.key) {
            var text = "unknown key '\(entry.key.printable)'"
            if let name { text += " in [[\(name)]]" }
            if let nearest = nearest(to: entry.key, among: known) { text += "; did you mean '\(nearest)'?" }
            problems.add(text, key: qualified(entry.key), at: entry.position)
        }
    }

    private func qualified(_ key: String) -> String { name.map { "\($0).\(key)" } ?? key }
}
