// SPDX-License-Identifier: GPL-2.0-or-later

extension DaemonSettings {
    /// A configuration file in which every setting is explained, and none is set.
    package static var sample: String {
        let head = [
            "# The settings of \(program), with their defaults.", "# To change one, remove the # before it.",
            "# \(program) --check shows what is in effect.",
        ]
        let lines = head + settings.flatMap(\.sample) + tables.flatMap { [""] + $0.sample }
        return lines.map { $0 + "\n" }.joined()
    }
}

extension Setting {
    /// The lines about the setting in the sample configuration.
    var sample: [String] {
        guard let key, let value = example ?? usual?.text else { return [] }
        var text = help
        if let values { text += " (\(values))" }
        if change == .atStart { text += " A change takes a restart." }
        return [""] + Self.wrapped(text).map { "# \($0)" } + ["#\(key) = \(value)"]
    }

    /// Splits a text into lines of at most 98 characters.
    private static func wrapped(_ text: String) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            let last = lines[lines.count - 1]
            if last.count + 1 + word.count > 98 {
                lines.append(String(word))
            } else {
                lines[lines.count - 1] += (last.isEmpty ? "" : " ") + word
            }
        }
        return lines
    }
}
