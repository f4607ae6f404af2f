// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// The address that servers see instead of this host's own.
package enum NATAddress: Equatable, Sendable {
    /// There is no NAT on the way.
    case none
    /// One address for each family.
    case addresses([IPFamily: IPAddress])
    /// It is not known: codes are not bound to an address (roaming).
    case automatic
}

/// What a target stands for.
package enum TargetHost: Equatable, Sendable {
    /// An address, or all of a prefix.
    case prefix(IPPrefix)
    /// A name to be resolved, in lower case.
    case name(String)
}

/// All that `tcpknock-client` can be set to; a new one has the defaults.
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
    /// The address that servers see; for targets without one of their own.
    package var nat = NATAddress.none
    /// How servers are asked to mask their ISN; for targets without a choice of their own.
    package var mask = MaskChoice.auto
    /// Servers that must prove that they hold the key.
    package var servers: [IPPrefix] = []
    /// Whether SYNs carry no hint at the key.
    package var noHint = false
    /// Servers with keys of their own; none: `keyFile` is for all destinations.
    package var targets: [TargetSettings] = []

    /// All defaults.
    package init() {}

    package static let defaultFile: FilePath = "/etc/tcpknock/client.toml"

    /// The key for destinations that no target names; nil: they get no code.
    package var sharedKeyFile: FilePath? { keyFile ?? (targets.isEmpty ? defaultKeyFile : nil) }

    /// All ports at which the client knocks, in the order in which they are first named.
    package var allPorts: [UInt16] {
        var seen: Set<UInt16> = []
        let ports = (sharedKeyFile == nil ? [] : targetPorts) + targets.flatMap(\.ports)
        return ports.filter { seen.insert($0).inserted }
    }
}

/// A server, or several with the same key.
package struct TargetSettings: Equatable, Sendable {
    /// Where it is.
    package var host: TargetHost
    /// The ports at which to knock.
    package var ports: [UInt16] = [22]
    /// The key.
    package var keyFile: FilePath
    /// The address that it sees; nil: as the settings of the client say.
    package var nat: NATAddress?
    /// How it is asked to mask its ISN; nil: as the settings of the client say.
    package var mask: MaskChoice?
    /// Whether it must prove that it holds the key.
    package var requireProof = true
    /// Whether codes are not bound to the minute; nil: as the settings of the client say.
    package var noTime: Bool?

    /// A target with a key and the defaults.
    package init(host: TargetHost, keyFile: FilePath) {
        self.host = host
        self.keyFile = keyFile
    }
}
