// SPDX-License-Identifier: GPL-2.0-or-later
package import SystemPackage
package import Wire

/// The settings of `tcpknock-client`.
///
/// A new value has the defaults.
package struct ClientSettings: DaemonSettings {
    package var shared: SharedSettings

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

    package init(instance: String?) {
        shared = SharedSettings()
        shared.controlSocket = Self.defaultControlSocket
    }

    package var instance: String? { nil }

    package static let program = "tcpknock-client"
    package static let keysMustDiffer = false

    package static func defaultFile(of instance: String?) -> FilePath {
        SharedSettings.configurationFolder.appending("client.toml")
    }

    /// The default control socket.
    package static let defaultControlSocket = SharedSettings.socketFolder.appending("client.sock")

    // MARK: Descriptions

    package static let settings =
        SharedSettings.settings(controlSocket: defaultControlSocket, noTimeChanges: .atReload)
        .map { $0.within(\.shared) } + own

    package static let tables = [SettingTable("target", \ClientSettings.targets, TargetSettings.settings)]

    private static let own: [Setting<ClientSettings>] = [
        Setting(
            "queue_num", \.queue, .queue, help: "Queue number used by the firewall rules.", change: .atStart,
            firewall: .always),
        Setting(
            "nat_ip", \.nat, .nat,
            help: "The address that servers see instead of this host's own, one for each family; auto if it is not "
                + "known, for servers that allow roaming."),
        Setting(
            "isn_mask", \.mask, .choice("mask"),
            help: "How servers mask their ISN: full on a path without stateful boxes, windowed through a NAT or "
                + "stateful firewall; auto is windowed with nat_ip, else full."),
        Setting(
            "servers", \.servers, .prefixes, flag: "server",
            help: "Servers that must prove that they hold the key, else their SYN/ACK is dropped."),
        Setting(
            "no_hint", \.noHint, .boolean,
            help: "Leave out of SYNs the hint by which a server with many guests finds the key."),
    ]

    // MARK: What follows

    /// The key file for destinations that are not a target; nil if SYNs to them carry no code.
    package var sharedKeyFile: FilePath? { shared.keyFile ?? (targets.isEmpty ? SharedSettings.defaultKeyFile : nil) }

    /// All ports that the client knocks at, in the order in which they are first named.
    package var allPorts: [UInt16] {
        var seen: Set<UInt16> = []
        let ports = (sharedKeyFile == nil ? [] : shared.targetPorts) + targets.flatMap(\.ports)
        return ports.filter { seen.insert($0).inserted }
    }

    package var keyFiles: [(owner: String, path: FilePath)] {
        var files: [(owner: String, path: FilePath)] = sharedKeyFile.map { [("key_file", $0)] } ?? []
        for target in targets where !files.contains(where: { $0.path == target.keyFile }) {
            files.append(("target \"\(target.host)\"", target.keyFile))
        }
        return files
    }

    package var filled: ClientSettings {
        var filled = self
        filled.keyFile = sharedKeyFile
        return filled
    }

    package var forFirewall: ClientSettings {
        var seen = self
        seen.targetPorts = allPorts
        return seen
    }

    package func doubts(at now: Int64) -> [SettingsConflict] { [] }

    package var ownConflicts: [SettingsConflict] {
        var conflicts: [SettingsConflict] = []
        var taken: [TargetHost: Set<UInt16>] = [:]
        for (index, target) in targets.enumerated() {
            let twice = target.ports.filter { taken[target.host]?.contains($0) == true }
            if target.host != .missing, let port = twice.first {
                conflicts.append(
                    SettingsConflict(
                        "target", "host", in: index,
                        "another [[target]] has \"\(target.host)\" with port \(port) already"))
            }
            taken[target.host, default: []].formUnion(target.ports)
        }
        return conflicts
    }
}
