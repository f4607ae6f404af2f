// SPDX-License-Identifier: GPL-2.0-or-later
import KeyFiles
import KnockProtocol
import Linux
import Program
import Settings
import SystemPackage

/// A guest to be added to a server.
struct NewGuest {
    let name: String
    /// The address or name at which the guest reaches this server.
    let host: TargetHost
    /// The ports open to the guest; empty for all target ports.
    let ports: [UInt16]
    let roaming: Bool

    /// Whether a name can be used as a file name unchanged.
    static func isFileName(_ name: String) -> Bool {
        let isPlain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
        return isPlain && (1...64).contains(name.utf8.count) && !"._-".contains(name.prefix(1))
    }

    /// Makes the key and the bundle, and adds the guest to the configuration.
    ///
    /// If anything fails, nothing is changed.
    ///
    /// - Parameters:
    ///   - config: The configuration file; it is created if it is missing.
    ///   - output: The path of the bundle.
    /// - Returns: The new keys.
    /// - Throws: `FatalError` if the configuration is invalid or a file cannot be written.
    func add(to config: FilePath, _ output: FilePath) throws(FatalError) -> KeySchedule {
        let transaction = FileTransaction()
        try fatally { () throws(FileError) in
            try transaction.makeFolder(config.removingLastComponent())
            try transaction.lock(config.removingLastComponent())
        }
        var edit = try fatally { () throws(SettingsError) in
            try SettingsEdit<ServerSettings>(
                config, beginning: "The configuration of tcpknock-server; with --check it prints all that can be set.")
        }
        guard !edit.settings.guests.contains(where: { $0.name == name }) else {
            throw FatalError(
                "there is a guest named \"\(name)\" already, so nothing was changed", at: "\(edit.path)",
                cure: "choose another name", status: .cannotCreate)
        }
        keepDefaultGuest(&edit)
        edit.append(stanza)
        let settings = try fatally { () throws(SettingsError) in try edit.check() }
        let reached = ports.isEmpty ? settings.targetPorts : ports
        guard reached.count <= BundleHead.maximumPorts else {
            throw FatalError(
                "a bundle names at most \(BundleHead.maximumPorts) ports", cure: "choose some with --port",
                status: .usage)
        }

        let key = try fatally { () throws(KeyFileError) in try KeyMaterial.random() }
        let head = BundleHead(
            host: host, guest: name, ports: reached, roaming: roaming, fingerprint: key.keys.fingerprint)
        try fatally { () throws(FileError) in
            let keyFile = edit.path.removingLastComponent().appending("guests").appending("\(name).dat")
            try transaction.makeFolder(keyFile.removingLastComponent())
            try key.withBytes { bytes throws(FileError) in try transaction.add(keyFile, bytes, replacing: false) }
            try KeyBundle(head: head.text, key: key).add(to: transaction, at: output)
            try transaction.add(edit)
            try transaction.commit()
        }
        return key.keys
    }

    /// Keeps the holder of the default key as a guest.
    ///
    /// The first guest in the configuration would otherwise replace the default key.
    private func keepDefaultGuest(_ edit: inout SettingsEdit<ServerSettings>) {
        guard edit.settings.guests.isEmpty, edit.settings.keyFile == nil, name != GuestSettings.onlyName,
            SharedSettings.defaultKeyFile.exists
        else { return }
        edit.append(
            """
            # Who has the key that was the only one before.
            [[guest]]
            name = \(TOMLText.string(GuestSettings.onlyName))
            key_file = \(TOMLText.string(SharedSettings.defaultKeyFile.string))

            """)
    }

    private var stanza: String {
        var lines = "[[guest]]\nname = \(TOMLText.string(name))\nkey_file = \(TOMLText.string("guests/\(name).dat"))\n"
        if !ports.isEmpty { lines += "ports = [\(ports.map(String.init).joined(separator: ", "))]\n" }
        if roaming { lines += "roaming = true\n" }
        return lines
    }
}
