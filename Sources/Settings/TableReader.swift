// SPDX-License-Identifier: GPL-2.0-or-later
internal import SystemPackage

/// Why a value is not taken: what it should be, or what is wrong with it.
struct Refusal: Error {
    let text: String
    let position: TextPosition?

    /// Says what is wrong, and where exactly if that is not where the value begins.
    init(_ text: String, at position: TextPosition? = nil) {
        self.text = text
        self.position = position
    }
}

/// Takes settings from one table of a file, and collects what is wrong with them.
package final class TableReader {
    /// The folder of the file, which relative paths start from.
    let folder: FilePath
    let problems: ProblemList
    private let entries: [TOMLEntry]
    private let index: Int?
    private let name: String?
    private var known: [String] = []

    /// Makes a reader for one table.
    ///
    /// - Parameters:
    ///   - entries: The content of the table.
    ///   - folder: The folder of the file.
    ///   - problems: Takes what is wrong.
    ///   - index: Counts the tables of one name from 0; nil for the topmost one.
    ///   - name: The name of the table in error messages; nil for the topmost one.
    init(
        _ entries: [TOMLEntry], folder: FilePath, _ problems: ProblemList, index: Int? = nil, name: String? = nil
    ) {
        self.entries = entries
        self.folder = folder
        self.problems = problems
        self.index = index
        self.name = name
    }

    /// The keys that were both there and asked for.
    var given: Set<String> { Set(entries.map(\.key)).intersection(known) }

    /// Takes the value of a key.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - convert: Makes a setting of the value.
    /// - Returns: nil if the key is not there or its value is refused, which is noted.
    func value<Setting>(_ key: String, _ convert: (TOMLValue) throws(Refusal) -> Setting) -> Setting? {
        known.append(key)
        guard let entry = entries.first(where: { $0.key == key }) else { return nil }
        problems.note(SettingsLocation(key, in: index), at: entry.position)
        do throws(Refusal) {
            return try convert(entry.value)
        } catch {
            problems.add(
                "\(qualified(key)): \(error.text)", key: qualified(key), at: error.position ?? entry.value.position)
            return nil
        }
    }

    /// Replaces a setting by the value of a key, if that is there and right.
    func read<Setting>(
        _ key: String, into setting: inout Setting, _ convert: (TOMLValue) throws(Refusal) -> Setting
    ) {
        if let value = value(key, convert) { setting = value }
    }

    /// Replaces a setting that can be missing by the value of a key, if that is there and right.
    func read<Setting>(
        _ key: String, into setting: inout Setting?, _ convert: (TOMLValue) throws(Refusal) -> Setting
    ) {
        if let value = value(key, convert) { setting = value }
    }

    /// Notes that a key which has to be there is not; says nothing of one whose value was refused.
    func require(_ key: String, _ advice: String) {
        guard !entries.contains(where: { $0.key == key }) else { return }
        problems.add(
            "\(name.map { "[[\($0)]]" } ?? "file"): '\(key)' is missing; \(advice)", key: qualified(key),
            at: position)
    }

    /// Where the table begins.
    private(set) var position: TextPosition?

    /// The tables of an array of tables, each with a reader of its own.
    func tables(_ key: String) -> [TableReader] {
        let values = value(key) { value throws(Refusal) in
            guard case .array(let values) = value.content else {
                throw Refusal("expected tables, each under a line [[\(key)]]")
            }
            return values
        }
        return (values ?? []).enumerated().compactMap { index, value in
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

    /// Notes each key that nobody has asked for.
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

extension String {
    /// Without characters that would act on a terminal, and not long.
    var printable: String {
        String(unicodeScalars.prefix(200).map { $0.properties.generalCategory.isPrintable ? Character($0) : "?" })
    }
}

extension Unicode.GeneralCategory {
    /// Whether characters of it show as themselves, spaces included.
    fileprivate var isPrintable: Bool {
        switch self {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
