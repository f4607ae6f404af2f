// SPDX-License-Identifier: GPL-2.0-or-later

/// A kind of table in the file that can be there several times, such as the guests.
package struct SettingTable<Owner>: Sendable {
    /// The name in the headers, such as `guest`.
    package let name: String
    /// The lines about a table in the sample configuration.
    let sample: [String]
    /// The keys of a table.
    package let keys: [String]
    /// Reads all such tables of the file, and records what is wrong.
    let read: @Sendable (TableReader, inout Owner) -> Void
    /// Returns the lines of all such tables.
    let write: @Sendable (Owner) -> [String]

    /// Describes a kind of table.
    ///
    /// - Parameters:
    ///   - name: The name in the headers.
    ///   - list: Where the tables are kept.
    ///   - settings: The settings in each table.
    init<Member>(
        _ name: String, _ list: any WritableKeyPath<Owner, [Member]> & Sendable, _ settings: [Setting<Member>]
    ) {
        self.name = name
        sample = ["# [[\(name)]]"] + settings.flatMap(\.sample)
        keys = settings.compactMap(\.key)
        read = { reader, owner in
            for table in reader.tables(name) {
                var member = Member.defaults
                for setting in settings { setting.read(from: table, into: &member) }
                table.refuseUnknownKeys()
                owner[keyPath: list].append(member)
            }
        }
        write = { owner in
            owner[keyPath: list].flatMap { member in
                ["", "[[\(name)]]"] + settings.compactMap { $0.line(of: member) }
            }
        }
    }
}
