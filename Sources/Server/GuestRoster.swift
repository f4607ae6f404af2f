// SPDX-License-Identifier: GPL-2.0-or-later
package import DaemonCore
package import KnockEngine
internal import KnockProtocol
package import Linux
internal import Program
package import Settings
package import Wire

/// The guests of a configuration and their keys, for the engine and for the rest of the daemon.
package struct GuestRoster: Sendable {
    /// The enabled guests, for the engine.
    package let guests: [Guest]
    /// The settings of each guest.
    package let settings: [KeyID: GuestSettings]
    /// The fingerprint of the key if there is only one guest; otherwise nil.
    package let fingerprint: String?
    private let byID: [KeyID: Guest]

    /// Reads the keys of all enabled guests.
    ///
    /// - Parameters:
    ///   - settings: The configuration.
    ///   - registry: Assigns the key IDs.
    /// - Throws: `FatalError` if a key cannot be read or two guests have the same key.
    package init(_ settings: ServerSettings, _ registry: KeyRegistry) throws(FatalError) {
        var guests: [Guest] = []
        var settingsByID: [KeyID: GuestSettings] = [:]
        var owners: [String: String] = [:]
        for guest in settings.effectiveGuests where guest.enabled {
            let keys = try KeySchedule.read(guest.keyFile, forDaemonOf: settings.user)
            let fingerprint = keys.fingerprint
            if let other = owners.updateValue(guest.name, forKey: fingerprint) {
                throw FatalError(
                    "guest \"\(guest.name)\" has the same key as \"\(other)\"", cure: "each needs one of their own",
                    status: .configuration)
            }
            let id = registry.id(of: guest.name, fingerprint: fingerprint)
            settingsByID[id] = guest
            guests.append(
                Guest(
                    id: id, keys: keys, ports: guest.ports ?? settings.targetPorts, networks: guest.networks,
                    expires: guest.expires, isRoaming: guest.roaming))
        }
        self.guests = guests
        self.settings = settingsByID
        byID = Dictionary(guests.map { ($0.id, $0) }) { first, _ in first }
        fingerprint = owners.count == 1 ? owners.first?.key : nil
    }

    /// Returns the reason why a guest's connection would not be admitted now; nil if it would be.
    package func refusal(of flow: Flow, _ id: KeyID, at now: Instant) -> String? {
        guard let guest = byID[id] else { return "revoked" }
        return guest.refusal(of: flow, at: now)?.name
    }
}
