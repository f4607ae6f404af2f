// SPDX-License-Identifier: GPL-2.0-or-later

/// Collects what is wrong in a file, and knows where its settings are.
final class ProblemList {
    /// So many are told at most.
    static let limit = 20

    private(set) var all: [SettingsProblem] = []
    private(set) var warnings: [SettingsProblem] = []
    private var positions: [SettingsLocation: TextPosition] = [:]

    /// What is wrong, in the order of the file.
    var inOrder: [SettingsProblem] {
        let last = TextPosition(line: .max, column: .max)
        return all.sorted { ($0.position ?? last) < ($1.position ?? last) }
    }

    /// Remembers where a setting, or with an empty key a table, is.
    func note(_ location: SettingsLocation, at position: TextPosition?) {
        positions[location] = position
    }

    func add(_ text: String, key: String?, at position: TextPosition?) {
        all.append(SettingsProblem(position: position, key: key, text: text))
    }

    func add(_ conflict: SettingsConflict) {
        all.append(
            SettingsProblem(
                position: position(of: conflict.location), key: conflict.location.key, text: conflict.text))
    }

    /// Whether a conflict may only come from a value that was refused.
    func hides(_ conflict: SettingsConflict) -> Bool {
        conflict.location.key == "ports" && all.contains { $0.key == "target_ports" }
    }

    func warn(_ text: String, _ location: SettingsLocation) {
        warnings.append(SettingsProblem(position: position(of: location), key: location.key, text: text))
    }

    /// Where the setting is, else the table that it should be in.
    private func position(of location: SettingsLocation) -> TextPosition? {
        positions[location] ?? location.table.flatMap { positions[SettingsLocation("", in: $0)] }
    }
}
