// SPDX-License-Identifier: GPL-2.0-or-later
package import Control
package import DaemonCore
package import KnockEngine
internal import KnockProtocol
package import Linux
internal import Program
package import Settings
package import Wire

/// The targets of a configuration, with their keys and resolved addresses.
package struct TargetRoster: Sendable {
    /// The name in the log of destinations that are not a configured target.
    private static let elsewhere = "any"
    /// The name in the log of those destinations that must prove themselves.
    private static let proven = "servers"

    private struct Entry {
        let id: KeyID
        let name: String
        let keys: KeySchedule
        let settings: TargetSettings
    }

    private let entries: [Entry]
    private let settings: ClientSettings
    private let shared: (elsewhere: KeyID, proven: KeyID, keys: KeySchedule)?
    /// The fingerprint of the key if there is only one; otherwise nil.
    package let fingerprint: String?

    /// Reads the keys of all targets.
    ///
    /// - Throws: `FatalError` if a key cannot be read.
    package init(_ settings: ClientSettings, _ registry: KeyRegistry) throws(FatalError) {
        self.settings = settings
        var entries: [Entry] = []
        for target in settings.targets {
            let keys = try KeySchedule.read(target.keyFile, forDaemonOf: settings.user)
            let name = "\(target.host):\(target.ports.map(String.init).joined(separator: ","))"
            let id = registry.id(of: name, fingerprint: keys.fingerprint)
            entries.append(Entry(id: id, name: name, keys: keys, settings: target))
        }
        self.entries = entries
        if let path = settings.sharedKeyFile {
            let keys = try KeySchedule.read(path, forDaemonOf: settings.user)
            shared = (
                registry.id(of: Self.elsewhere, fingerprint: keys.fingerprint),
                registry.id(of: Self.proven, fingerprint: keys.fingerprint), keys
            )
        } else {
            shared = nil
        }
        let fingerprints = Set(entries.map(\.keys.fingerprint) + (shared.map { [$0.keys.fingerprint] } ?? []))
        fingerprint = fingerprints.count == 1 ? fingerprints.first : nil
    }

    /// The host names to resolve.
    package var hostNames: [String] {
        entries.compactMap { entry in
            if case .name(let name) = entry.settings.host { name } else { nil }
        }
    }

    /// Returns the targets for the engine.
    ///
    /// - Parameter addresses: The addresses of the host names. A missing name has no address yet.
    /// - Returns: All targets, including those without an address yet.
    package func targets(_ addresses: [String: [IPAddress]]) -> [Target] {
        entries.map { entry in
            target(entry, prefixes(entry.settings.host, addresses))
        } + sharedTargets
    }

    private func prefixes(_ host: TargetHost, _ addresses: [String: [IPAddress]]) -> [IPPrefix] {
        switch host {
        case .prefix(let prefix): [prefix]
        case .name(let name):
            (addresses[name] ?? []).compactMap { IPPrefix($0, length: $0.family == .ipv4 ? 32 : 128) }
        }
    }

    private func target(_ entry: Entry, _ prefixes: [IPPrefix]) -> Target {
        Target(
            id: entry.id, keys: entry.keys, prefixes: prefixes, ports: entry.settings.ports,
            binding: (entry.settings.nat ?? settings.nat).binding,
            maskMode: (entry.settings.mask ?? settings.mask).mode, requiresProof: entry.settings.requireProof,
            usesTime: !(entry.settings.noTime ?? settings.noTime), sendsHint: !settings.noHint)
    }

    /// The targets for all other destinations; first the servers that must prove themselves.
    private var sharedTargets: [Target] {
        guard let shared else { return [] }
        let everywhere = [
            IPPrefix(IPAddress(0, 0, 0, 0), length: 0), IPPrefix(IPAddress(high: 0, low: 0), length: 0),
        ]
        return [(settings.servers, true), (everywhere.compactMap(\.self), false)].map { prefixes, requiresProof in
            Target(
                id: requiresProof ? shared.proven : shared.elsewhere, keys: shared.keys, prefixes: prefixes,
                ports: settings.targetPorts,
                binding: settings.nat.binding, maskMode: settings.mask.mode, requiresProof: requiresProof,
                usesTime: !settings.noTime, sendsHint: !settings.noHint)
        }
    }

    /// Returns the targets for display.
    package func parties(_ addresses: [String: [IPAddress]]) -> [StatusReport.Party] {
        var parties = entries.map { entry in
            var scope = "at \(entry.settings.ports.map(String.init).joined(separator: ", "))"
            if case .name(let name) = entry.settings.host {
                let found = addresses[name] ?? []
                scope += found.isEmpty ? ", no address yet" : ", \(found.map(\.description).joined(separator: ", "))"
            }
            if !entry.settings.requireProof { scope += ", need not prove itself" }
            return StatusReport.Party(name: entry.name, scope: scope)
        }
        if shared != nil {
            let ports = settings.targetPorts.map(String.init).joined(separator: ", ")
            if !settings.servers.isEmpty {
                let servers = settings.servers.map(\.description).joined(separator: ", ")
                parties.append(StatusReport.Party(name: Self.proven, scope: "at \(ports), \(servers)"))
            }
            parties.append(StatusReport.Party(name: Self.elsewhere, scope: "at \(ports)"))
        }
        return parties
    }
}

extension NATAddress {
    /// The address that codes are bound to.
    fileprivate var binding: Target.Binding {
        switch self {
        case .none: .ownAddress
        case .addresses(let addresses): .natAddresses(addresses)
        case .automatic: .none
        }
    }
}
