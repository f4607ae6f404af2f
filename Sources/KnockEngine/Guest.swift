// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// Somebody whom a server knows by a key, and what is open to that key.
public struct Guest: Sendable {
    /// What handshakes of the guest are known by.
    public let id: KeyID
    /// The guest's keys.
    public let keys: KeySchedule
    /// The ports the guest may reach; with none, a right code is only told as an event.
    public let ports: [UInt16]
    /// Where the guest may come from; with none, anywhere.
    public let networks: [IPPrefix]
    /// From when on nothing is open to the guest, in seconds since 1970-01-01 00:00 UTC; nil is never.
    public let expires: Int64?
    /// Whether codes that are bound to no address are good too (docs/PROTOCOL.md §4.2).
    public let isRoaming: Bool

    /// Takes all of it.
    public init(
        id: KeyID, keys: KeySchedule, ports: [UInt16], networks: [IPPrefix] = [], expires: Int64? = nil,
        isRoaming: Bool = false
    ) {
        self.id = id
        self.keys = keys
        self.ports = ports
        self.networks = networks
        self.expires = expires
        self.isRoaming = isRoaming
    }

    /// Why a handshake with a right code is not for this guest; nil if it is.
    public func refusal(of flow: Flow, at now: Instant) -> Reason? {
        if let expires, now.unixSeconds >= expires { return .guestExpired }
        if !networks.isEmpty, !networks.contains(where: { $0.contains(flow.clientAddress) }) {
            return .guestFromOtherNetwork
        }
        if !ports.isEmpty, !ports.contains(flow.serverPort) { return .guestAtOtherPort }
        return nil
    }
}
