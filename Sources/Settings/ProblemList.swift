// SPDX-License-Identifier: GPL-2.0-or-later

/// Collects the errors in a file, and knows the positions of its settings.
final class ProblemList {
    /// The largest number of errors that are reported.
    static let limit = 20

    private(set) var all: [SettingsProblem] = []
    private(set) var warnings: [SettingsProblem] = []
    private var positions: [SettingsLocation: TextPosition] = [:]

    /// The errors in file order.
    var inOrder: [SettingsProblem] {
        let last = TextPosition(line: .max, column: .max)
        return all.sorted { ($0.position ?? last) < ($1.position ?? last) }
    }

    /// Records the position of a setting or, with an empty key, of a table.
    func note(_ location: SettingsLocation, at position: TextPosition?) {
        positions[location] = position
    }

    func add(_ text: String, key: String?, at position: TextPosition?) {
        all.append(SettingsProblem(position: position, key: key, text: text))
    }

    func add(_ conflict: SettingsConflict) { all.append(problem(conflict)) }

    func warn(_ doubt: SettingsConflict) { warnings.append(problem(doubt)) }

    private func problem(_ conflict: SettingsConflict) -> SettingsProblem {
        SettingsProblem(position: position(of: conflict.location), key: conflict.location.key, text: conflict.text)
    }

    /// Returns whether a conflict may only be a consequence of a refused value.
    func hides(_ conflict: SettingsConflict) -> Bool {
        conflict.location.key == "ports" && all.contains { $0.key == "target_ports" }
    }

    /// Returns the position of the setting, or of the table that it belongs to.
    private func position(of location: SettingsLocation) -> TextPosition? {
        positions[location] ?? location.table.flatMap { positions[SettingsLocation("", in: $0)] }
    }
}
