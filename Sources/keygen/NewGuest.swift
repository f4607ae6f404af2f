// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import KeyFiles
import KnockProtocol
import Linux
import Program
import Settings
import SystemPackage

/// Somebody who is to knock from now on.
struct NewGuest {
    let name: String
    /// Where they find this server.
    let host: TargetHost
    /// None: all target ports.
    let ports: [UInt16]
    let roaming: Bool

    /// Whether a name can be that of a file as it is.
    static func isFileName(_ name: String) -> Bool {
        let isPlain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
        return isPlain && (1...64).contains(name.utf8.count) && !"._-".contains(name.prefix(1))
    }

    /// Makes the key and the bundle, and adds the guest to the configuration; if anything fails, nothing has changed.
    ///
    /// - Parameters:
    ///   - config: The configuration file, which is made if it is missing.
    ///   - output: The bundle.
    /// - Returns: The new keys.
    /// - Throws: What is wrong with the configuration, or keeps files from being written.
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
                "\(edit.path): there is a guest named \"\(name)\" already; nothing was changed", status: EX_CANTCREAT)
        }
        keepDefaultGuest(&edit)
        edit.append(stanza)
        let settings = try fatally { () throws(SettingsError) in try edit.check() }
        let reached = ports.isEmpty ? settings.targetPorts : ports
        guard reached.count <= BundleHead.maximumPorts else {
            throw FatalError(
                "a bundle names at most \(BundleHead.maximumPorts) ports; choose some with --port", status: EX_USAGE)
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

    /// The first guest takes the place of who has the default key; they are to get in as before.
    private func keepDefaultGuest(_ edit: inout SettingsEdit<ServerSettings>) {
        guard edit.settings.guests.isEmpty, edit.settings.keyFile == nil, name != "default",
            (try? Stat(defaultKeyFile)) != nil
        else { return }
        edit.append(
            """
            # Who has the key that was the only one before.
            [[guest]]
            name = "default"
            key_file = \(TOMLText.string(defaultKeyFile.string))

            """)
    }

    private var stanza: String {
        var lines = "[[guest]]\nname = \(TOMLText.string(name))\nkey_file = \(TOMLText.string("guests/\(name).dat"))\n"
        if !ports.isEmpty { lines += "ports = [\(ports.map(String.init).joined(separator: ", "))]\n" }
        if roaming { lines += "roaming = true\n" }
        return lines
    }
}
