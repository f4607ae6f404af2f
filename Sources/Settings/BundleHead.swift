// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
internal import Wire

/// The head of a key bundle: where the server is, and how to knock there.
package struct BundleHead: Equatable, SettingOwner {
    /// The version of the format.
    private static let version: UInt32 = 1

    /// The largest number of ports.
    package static let maximumPorts = 64

    /// The server's address or name.
    package var host: TargetHost
    /// The server's name for this client.
    package var guest: String
    /// The ports to knock at.
    package var ports: [UInt16]
    /// Whether the server accepts codes that are not bound to an address.
    package var roaming: Bool
    /// The fingerprint of the key in the bundle.
    package var fingerprint: String

    package init(host: TargetHost, guest: String, ports: [UInt16], roaming: Bool, fingerprint: String) {
        self.host = host
        self.guest = guest
        self.ports = ports
        self.roaming = roaming
        self.fingerprint = fingerprint
    }

    /// Parses the head of a bundle from an untrusted source.
    ///
    /// - Parameters:
    ///   - text: The head, at most `KeyBundle.maximumHead` bytes, which limits how deeply tables can be nested.
    ///   - path: The bundle, for messages.
    /// - Throws: `SettingsError.problems`.
    package init(_ text: [UInt8], _ path: FilePath) throws(SettingsError) {
        let problems = ProblemList()
        let table = TableReader(try parseEntries(text, path), folder: "", problems)
        self = Self.defaults
        for setting in Self.settings { setting.read(from: table, into: &self) }
        table.refuseUnknownKeys()
        guard problems.all.isEmpty else {
            let sorted = problems.inOrder
            throw .problems(path, sorted)
        }
    }

    package static let defaults = BundleHead(host: .missing, guest: "", ports: [], roaming: false, fingerprint: "")

    private static let settings: [Setting<BundleHead>] = [
        described(
            "version", \.format,
            .number(0...(.max), "a version").checked {
                $0 == version
                    ? nil : "another format than this program knows; the server and this host need the same version"
            }),
        described("host", \.host, .host.checked { $0.isOne ? nil : "a network, where one host is expected" }),
        described("guest", \.guest, .name),
        described(
            "ports", \.ports,
            .ports.checked {
                (1...maximumPorts).contains($0.count)
                    ? nil : "\($0.count) ports, where 1 to \(maximumPorts) are expected"
            }),
        described("roaming", \.roaming, .boolean),
        described("fingerprint", \.fingerprint, .fingerprint),
    ]

    private static func described<Value>(
        _ key: String, _ path: any WritableKeyPath<BundleHead, Value> & Sendable, _ kind: ValueKind<Value>
    ) -> Setting<BundleHead> {
        Setting(key, path, kind, help: "", required: "was the bundle copied completely?")
    }

    private var format: UInt32 {
        get { Self.version }
        set {}
    }

    /// The head as text, without a newline at the end.
    package var text: String {
        """
        # The key of \(guest) for tcpknock on \(host): whoever has read this file gets in. Carry it over a channel that
        # you trust, run 'tcpknock add-server FILE' there, and delete it on both hosts.
        \(Self.settings.compactMap { $0.line(of: self) }.joined(separator: "\n"))
        """
    }
}
