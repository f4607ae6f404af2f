// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// A client that the server knows by its key, and what that key gives access to.
public struct Guest: Sendable {
    /// The id that handshakes of this guest refer to.
    public let id: KeyID
    /// The guest's keys.
    public let keys: KeySchedule
    /// The ports that the guest may reach; if empty, a valid code only causes an event.
    public let ports: [UInt16]
    /// The networks that the guest may connect from; if empty, any.
    public let networks: [IPPrefix]
    /// When the guest loses all access, in seconds since 1970-01-01 00:00 UTC; nil means never.
    public let expires: Int64?
    /// Whether codes that are not bound to an address are accepted as well (docs/PROTOCOL.md §4.2).
    public let isRoaming: Bool

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

    /// Returns why a handshake with a valid code is refused to this guest, or nil if it is allowed.
    public func refusal(of flow: Flow, at now: Instant) -> Reason? {
        if let expires, now.unixSeconds >= expires { return .guestExpired }
        if !networks.isEmpty, !networks.contains(where: { $0.contains(flow.clientAddress) }) {
            return .guestFromOtherNetwork
        }
        if !ports.isEmpty, !ports.contains(flow.serverPort) { return .guestAtOtherPort }
        return nil
    }
}
