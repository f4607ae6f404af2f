// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Settings
internal import SystemPackage

/// A configuration file: what is taken can be written and is taken again as the same, and what is said of what is wrong
/// can be shown.
enum SettingsTarget<Settings: DaemonSettings> {
    @Sendable static func run(_ input: [UInt8]) throws(Violation) {
        let file: SettingsFile<Settings>
        do throws(SettingsError) {
            file = try SettingsFile<Settings>.parse(input, "/etc/tcpknock/f", now: 1_800_000_000)
        } catch {
            let text = error.description
            try hold(
                text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f || $0 == "\n" },
                "control characters in \(text.debugDescription)")
            return
        }
        for warning in file.warnings { _ = warning.report(in: "f").description }
        _ = file.settings.firewallFlags
        let written = file.settings.text()
        let again: String
        do throws(SettingsError) {
            again = try SettingsFile<Settings>.parse(Array(written.utf8), "/etc/tcpknock/f", now: 0).settings.text()
        } catch {
            throw Violation("what was written cannot be read: \(error)\n\(written)")
        }
        try hold(again == written, "read again, it is something else:\n\(written)\n\(again)")
    }
}
