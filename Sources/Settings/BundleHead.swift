// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
internal import Wire

/// The head of a key bundle: where the server is, and how to knock there.
package struct BundleHead: Equatable, Sendable {
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
        let version = table.value("version") { value throws(Refusal) in
            guard try value.number(0...(.max)) == Self.version else {
                throw Refusal("another format than this program knows; the server and this host need the same version")
            }
            return Self.version
        }
        let host = table.value("host") { value throws(Refusal) in
            let host = try value.host()
            guard host.isOne else { throw Refusal("a network, where one host is expected") }
            return host
        }
        let guest = table.value("guest") { value throws(Refusal) in try value.name() }
        let ports = table.value("ports") { value throws(Refusal) in
            let ports = try value.ports()
            guard (1...Self.maximumPorts).contains(ports.count) else {
                throw Refusal("\(ports.count) ports, where 1 to \(Self.maximumPorts) are expected")
            }
            return ports
        }
        let roaming = table.value("roaming") { value throws(Refusal) in try value.boolean() }
        let fingerprint = table.value("fingerprint") { value throws(Refusal) in
            let text = try value.string("a fingerprint")
            guard text.utf8.count == 39 else { throw Refusal("no fingerprint: that is 8 groups of 4 digits") }
            return text
        }
        for key in ["version", "host", "guest", "ports", "roaming", "fingerprint"] {
            table.require(key, "was the bundle copied completely?")
        }
        table.refuseUnknownKeys()
        guard version != nil, let host, let guest, let ports, let roaming, let fingerprint, problems.all.isEmpty else {
            let sorted = problems.inOrder
            throw .problems(path, Array(sorted.prefix(ProblemList.limit)), count: sorted.count)
        }
        self.init(host: host, guest: guest, ports: ports, roaming: roaming, fingerprint: fingerprint)
    }

    /// The head as text, without a newline at the end.
    package var text: String {
        """
        # The key of \(guest) for tcpknock on \(host): whoever has read this file gets in. Carry it over a channel that
        # you trust, run 'tcpknock add-server FILE' there, and delete it on both hosts.
        version = \(Self.version)
        host = \(TOMLText.string(host.description))
        guest = \(TOMLText.string(guest))
        ports = [\(ports.map(String.init).joined(separator: ", "))]
        roaming = \(roaming)
        fingerprint = \(TOMLText.string(fingerprint))
        """
    }
}

extension TargetHost {
    /// Whether it stands for a single host.
    package var isOne: Bool {
        switch self {
        case .prefix(let prefix): prefix.mappedLength == 128
        case .name: true
        }
    }
}
