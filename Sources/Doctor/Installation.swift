// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import Settings
internal import SystemPackage

/// One of the daemons that a host can have, with its rules: the client's, or one of several servers'.
package struct Installation: Hashable, Sendable {
    /// Server or client.
    package let role: Role
    /// The name of a server that is one of several; nil for the one without a name, and for the client.
    package let instance: String?

    /// Takes both.
    package init(_ role: Role, instance: String? = nil) {
        (self.role, self.instance) = (role, instance)
    }

    /// What the names of all its chains begin with (`OWN` of the firewall scripts).
    package var chainPrefix: String {
        if let instance { return "TCPKNOCK-\(instance)_-" }
        return role == .server ? "TCPKNOCK-SRV-" : "TCPKNOCK-CLI-"
    }

    /// The configuration that its daemon reads if no other is named.
    var usualFile: String {
        (role == .server ? ServerSettings.defaultFile(of: instance) : ClientSettings.defaultFile).string
    }

    /// The flags that say which one it is, for daemon and script.
    var flags: [String] { instance.map { ["--instance", $0] } ?? [] }

    /// `server`, or `server web`.
    package var title: String { ([role.rawValue] + (instance.map { [$0] } ?? [])).joined(separator: " ") }

    /// The name of the server whose chains begin like this one, `TCPKNOCK-web_-IN`; nil if it is of none with a name.
    static func instance(ofChain chain: String) -> String? {
        guard chain.hasPrefix("TCPKNOCK-"), let end = chain.firstIndex(of: "_") else { return nil }
        return try? InstanceName.parse(String(chain[..<end].dropFirst("TCPKNOCK-".count)))
    }

    /// The name in a file that is called `server@web.toml` or `server@web.sock`; nil if it is of none with a name.
    static func instance(ofFile name: String, _ end: String) -> String? {
        guard name.hasPrefix("server@"), name.hasSuffix(end) else { return nil }
        return try? InstanceName.parse(String(name.dropFirst("server@".count).dropLast(end.count)))
    }
}
