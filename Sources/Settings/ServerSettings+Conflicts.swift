// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage

/// What follows from the settings, and what goes together.
extension ServerSettings {
    /// The guests, or if there are none, a guest named `default` with the shared key file.
    package var effectiveGuests: [GuestSettings] {
        guests.isEmpty
            ? [GuestSettings(name: GuestSettings.onlyName, keyFile: shared.keyFile ?? SharedSettings.defaultKeyFile)]
            : guests
    }

    package var keyFiles: [(owner: String, path: FilePath)] {
        effectiveGuests.map { ("guest \"\($0.name)\"", $0.keyFile) }
    }

    package var filled: ServerSettings {
        var filled = self
        if guests.isEmpty { filled.keyFile = shared.keyFile ?? SharedSettings.defaultKeyFile }
        return filled
    }

    package var forFirewall: ServerSettings { self }

    package func doubts(at now: Int64) -> [SettingsConflict] {
        exempt.filter(\.isOpenToTheWorld).map {
            SettingsConflict("exempt", "\"\($0)\" is much of the world, and nobody there needs the knock")
        }
            + guests.enumerated().compactMap { index, guest in
                guard let expires = guest.expires, expires <= now else { return nil }
                return SettingsConflict(
                    "guest", "expires", in: index, "\"\(guest.name)\" has expired, and does not get in")
            }
    }

    package var ownConflicts: [SettingsConflict] {
        var conflicts: [SettingsConflict] = []
        if shared.keyFile != nil, !guests.isEmpty {
            conflicts.append(
                SettingsConflict(
                    "key_file", "cannot go together with [[guest]]; name the key file in a [[guest]] of its own"))
        }
        if pinFolder.string.unicodeScalars.contains(where: { $0.properties.isWhitespace }) {
            conflicts.append(SettingsConflict("pin_folder", "the path has spaces in it, which the rules cannot name"))
        }
        var names: Set<String> = []
        var keyFiles: [FilePath: String] = [:]
        for (index, guest) in guests.enumerated() {
            // A value that could not be read was already reported.
            if !guest.name.isEmpty, !names.insert(guest.name).inserted {
                conflicts.append(
                    SettingsConflict("guest", "name", in: index, "another guest is named \"\(guest.name)\" too"))
            }
            if !guest.keyFile.isEmpty, let other = keyFiles.updateValue(guest.name, forKey: guest.keyFile) {
                conflicts.append(
                    SettingsConflict(
                        "guest", "key_file", in: index,
                        "guest \"\(other)\" has the same one; each needs a key of their own"))
            }
            let strange = (guest.ports ?? []).filter { !shared.targetPorts.contains($0) }
            if !strange.isEmpty {
                let ports = strange.map(String.init).joined(separator: ", ")
                conflicts.append(
                    SettingsConflict("guest", "ports", in: index, "\(ports): not among target_ports; add it there"))
            }
        }
        return conflicts
    }
}
