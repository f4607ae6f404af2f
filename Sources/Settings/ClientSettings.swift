// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// The address that servers see instead of this host's own.
package enum NATAddress: Equatable, Sendable {
    /// There is no NAT on the path.
    case none
    /// One address for each family.
    case addresses([IPFamily: IPAddress])
    /// The address is unknown.
    ///
    /// Codes are not bound to an address (roaming).
    case automatic
}

/// The hosts of a target.
package enum TargetHost: Equatable, Sendable {
    /// An address, or all addresses of a prefix.
    case prefix(IPPrefix)
    /// A name to resolve, in lower case.
    case name(String)
}

/// The settings of `tcpknock-client`.
///
/// A new value has the defaults.
package struct ClientSettings: CommonSettings {
    package var keyFile: FilePath?
    package var targetPorts: [UInt16] = [22]
    package var mark = defaultMark
    package var noTime = false
    package var controlSocket: FilePath? = "/run/tcpknock/client.sock"
    package var metricsFile: FilePath?
    package var user: String?
    package var countBytes = true
    package var logLevel = LogLevel.info
    package var logFormat = LogFormat.text
    package var logTarget = LogTarget.stderr
    package var iptables = IPTablesChoice.auto

    /// The queue of the firewall rules.
    package var queue: UInt16 = 200
    /// The address that servers see, for targets without their own.
    package var nat = NATAddress.none
    /// The mask that is requested from servers, for targets without their own.
    package var mask = MaskChoice.auto
    /// The servers that must prove that they hold the key.
    package var servers: [IPPrefix] = []
    /// Whether SYNs carry no hint of the key.
    package var noHint = false
    /// The servers with their own keys.
    ///
    /// If empty, `keyFile` is used for all destinations.
    package var targets: [TargetSettings] = []

    package init() {}

    package static let defaultFile: FilePath = "/etc/tcpknock/client.toml"

    /// The key file for destinations that are not a target; nil if SYNs to them carry no code.
    package var sharedKeyFile: FilePath? { keyFile ?? (targets.isEmpty ? defaultKeyFile : nil) }

    /// All ports that the client knocks at, in the order in which they are first named.
    package var allPorts: [UInt16] {
        var seen: Set<UInt16> = []
        let ports = (sharedKeyFile == nil ? [] : targetPorts) + targets.flatMap(\.ports)
        return ports.filter { seen.insert($0).inserted }
    }
}

/// The settings of a target: a server, or several with the same key.
package struct TargetSettings: Equatable, Sendable {
    /// The address or name.
    package var host: TargetHost
    /// The ports at which to knock.
    package var ports: [UInt16] = [22]
    /// The key file.
    package var keyFile: FilePath
    /// The address that the target sees; nil for the client's setting.
    package var nat: NATAddress?
    /// The mask that is requested from the target; nil for the client's setting.
    package var mask: MaskChoice?
    /// Whether the target must prove that it holds the key.
    package var requireProof = true
    /// Whether codes are not bound to the minute; nil for the client's setting.
    package var noTime: Bool?

    /// Creates a target with the defaults.
    package init(host: TargetHost, keyFile: FilePath) {
        self.host = host
        self.keyFile = keyFile
    }
}
