// SPDX-License-Identifier: GPL-2.0-or-later
import KeyFiles
import KnockProtocol
import Linux
import Program
import Settings
import SystemPackage

/// A server to be added to this client, from a bundle.
struct NewServer {
    /// The server's address and the settings for it.
    let head: BundleHead
    private let key: KeyMaterial

    /// Reads a bundle.
    ///
    /// Its content is not trusted: anybody may have written it.
    init(_ path: FilePath) throws(FatalError) {
        let bundle = try KeyBundle.read(path)
        do throws(SettingsError) {
            head = try BundleHead(bundle.head, path)
        } catch {
            throw error.fatal.exiting(with: .wrongData)
        }
        guard head.fingerprint == bundle.key.keys.fingerprint else {
            throw FatalError(
                "the fingerprint in it is not that of its key", at: "bundle \(path)",
                cure: "was it changed on the way? Make a new one", status: .wrongData)
        }
        key = bundle.key
    }

    /// Puts the key in place and adds the server to the configuration.
    ///
    /// If anything fails, nothing is changed.
    ///
    /// - Parameters:
    ///   - config: The configuration file; it is created if it is missing.
    ///   - replacing: Whether to replace another key for the server.
    /// - Returns: The path of the key, and whether it belongs to an existing target, which is left unchanged.
    /// - Throws: `FatalError` if the configuration is invalid or a file cannot be written.
    func add(
        to config: FilePath, replacing: Bool
    ) throws(FatalError) -> (keyFile: FilePath, isOldTarget: Bool) {
        let transaction = FileTransaction()
        try fatally { () throws(FileError) in
            try transaction.makeFolder(config.removingLastComponent())
            try transaction.lock(config.removingLastComponent())
        }
        var edit = try fatally { () throws(SettingsError) in
            try SettingsEdit<ClientSettings>(
                config, beginning: "The configuration of tcpknock-client; with --check it prints all that can be set.")
        }
        let existing = try target(in: edit)
        // A host is an address or a name of letters, digits, dots and dashes, so it cannot lead out of the folder.
        let keyFile =
            existing?.keyFile
            ?? edit.path.removingLastComponent().appending("keys").appending("\(head.host).dat")
        let isNew = try checkKey(keyFile, replacing: replacing)
        if existing == nil {
            keepSharedKey(&edit)
            edit.append(stanza)
            _ = try fatally { () throws(SettingsError) in try edit.check() }
        }
        try fatally { () throws(FileError) in
            if isNew {
                try transaction.makeFolder(keyFile.removingLastComponent())
                try key.withBytes { bytes throws(FileError) in
                    try transaction.add(keyFile, bytes, replacing: replacing)
                }
            }
            if existing == nil { try transaction.add(edit) }
            try transaction.commit()
        }
        return (keyFile, existing != nil)
    }

    /// Returns the existing target with all ports of the server; nil if there is none.
    private func target(in edit: SettingsEdit<ClientSettings>) throws(FatalError) -> TargetSettings? {
        let sameHost = edit.settings.targets.filter { $0.host == head.host }
        if let target = sameHost.first(where: { Set($0.ports).isSuperset(of: head.ports) }) { return target }
        for target in sameHost {
            let shared = target.ports.filter(head.ports.contains)
            guard shared.isEmpty else {
                throw FatalError(
                    "there is a [[target]] for \(head.host) with port \(shared[0]), but without others of the bundle, so "
                        + "nothing was changed", at: "\(edit.path)",
                    cure: "change its ports to \(head.ports), and run this again", status: .cannotCreate)
            }
        }
        return nil
    }

    /// Examines the key that may already be there.
    ///
    /// - Returns: Whether the key of the bundle must be written.
    private func checkKey(_ path: FilePath, replacing: Bool) throws(FatalError) -> Bool {
        guard (try? Stat(path, followTargetSymlink: false)) != nil else { return true }
        if let present = try? KeyFile.read(path), present.fingerprint == head.fingerprint { return false }
        guard replacing else {
            throw FatalError(
                "there is another key for \(head.host) already, so nothing was changed", at: "\(path)",
                cure: "--force replaces it", status: .cannotCreate)
        }
        return true
    }

    /// Keeps the default key for all other destinations.
    ///
    /// The first target would otherwise replace it.
    private func keepSharedKey(_ edit: inout SettingsEdit<ClientSettings>) {
        guard edit.settings.targets.isEmpty, edit.settings.keyFile == nil, SharedSettings.defaultKeyFile.exists
        else { return }
        edit.prepend(
            "# For destinations that no [[target]] names.\n"
                + "key_file = \(TOMLText.string(SharedSettings.defaultKeyFile.string))\n\n")
    }

    private var stanza: String {
        """
        [[target]]
        host = \(TOMLText.string(head.host.description))
        ports = [\(head.ports.map(String.init).joined(separator: ", "))]
        key_file = \(TOMLText.string("keys/\(head.host).dat"))

        """ + (head.roaming ? "nat_ip = \"auto\"\n" : "")
    }
}
