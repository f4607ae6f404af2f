// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockProtocol
package import Linux
package import Settings

extension FileTransaction {
    /// Adds an edited configuration file to the transaction.
    ///
    /// An existing file keeps its mode and owner. A new one gets mode 0600.
    package func add<Settings: DaemonSettings>(_ edit: SettingsEdit<Settings>) throws(FileError) {
        try add(
            edit.target, edit.text.span, mode: edit.attributes?.mode ?? 0o600,
            owner: edit.attributes.map { (user: $0.user, group: $0.group) }, replacing: edit.attributes != nil)
    }
}
