// SPDX-License-Identifier: GPL-2.0-or-later
internal import Program
internal import Settings
internal import SystemPackage

/// One of the daemons that a host can have, with its rules: the client's, or that of one of several servers.
package struct Installation: Hashable, Sendable {
    /// Server or client.
    package let role: Role
    /// The name of a server that is one of several; nil for the server without a name and for the client.
    package let instance: String?

    package init(_ role: Role, instance: String? = nil) {
        (self.role, self.instance) = (role, instance)
    }

    /// The configuration that its daemon reads by default.
    var usualFile: String {
        (role == .server ? ServerSettings.defaultFile(of: instance) : ClientSettings.defaultFile).string
    }

    /// The flags that select this installation, for daemon and script.
    var flags: [String] { instance.map { ["--instance", $0] } ?? [] }

    /// The name for messages: `server` or `server web`.
    package var title: String { ([role.rawValue] + (instance.map { [$0] } ?? [])).joined(separator: " ") }

    /// The name of the server that a file such as `server@web.toml` or `server@web.sock` belongs to; nil if it does not
    /// belong to a named server.
    static func instance(ofFile name: String, _ end: String) -> String? {
        guard name.hasPrefix("server@"), name.hasSuffix(end) else { return nil }
        return try? ValueKind.instance.parse(String(name.dropFirst("server@".count).dropLast(end.count)))
    }
}
