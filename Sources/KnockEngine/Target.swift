// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// A set of servers that the client knocks at, and how.
public struct Target: Sendable {
    /// The address that a code is bound to.
    public enum Binding: Equatable, Sendable {
        /// The client's own address, as in its packets.
        case ownAddress
        /// The address that servers see instead, per family; for a family that is missing, the client's own address.
        case natAddresses([IPFamily: IPAddress])
        /// No address (docs/PROTOCOL.md §4.2).
        case none
    }

    /// The id that handshakes with this target refer to.
    public let id: KeyID
    /// The keys.
    public let keys: KeySchedule
    /// The addresses of the servers.
    public let prefixes: [IPPrefix]
    /// The protected ports.
    public let ports: [UInt16]
    /// The address that codes are bound to.
    public let binding: Binding
    /// The mask to ask for; nil means full if codes are bound to the client's own address, windowed otherwise.
    public let maskMode: MaskMode?
    /// Whether to drop a SYN/ACK that has no valid proof.
    public let requiresProof: Bool
    /// Whether codes depend on the time.
    public let usesTime: Bool
    /// Whether the SYN carries a hint of the key that its code was made with (docs/PROTOCOL.md §4.1).
    public let sendsHint: Bool

    public init(
        id: KeyID, keys: KeySchedule, prefixes: [IPPrefix], ports: [UInt16], binding: Binding = .ownAddress,
        maskMode: MaskMode? = nil, requiresProof: Bool = false, usesTime: Bool = true, sendsHint: Bool = true
    ) {
        self.id = id
        self.keys = keys
        self.prefixes = prefixes
        self.ports = ports
        self.binding = binding
        self.maskMode = maskMode
        self.requiresProof = requiresProof
        self.usesTime = usesTime
        self.sendsHint = sendsHint
    }

    /// Returns `A` and `C` of a SYN, and the mask that it asks for.
    func terms(_ address: IPAddress, clientISN: UInt32) -> (handshake: Handshake, mode: MaskMode) {
        switch binding {
        case .ownAddress:
            return (Handshake(clientAddress: address, clientISN: clientISN), maskMode ?? .full)
        case .natAddresses(let addresses):
            let natAddress = addresses[address.family]
            return (
                Handshake(clientAddress: natAddress ?? address, clientISN: clientISN),
                maskMode ?? (natAddress == nil ? .full : .windowed)
            )
        case .none:
            return (.roaming(clientISN: clientISN), maskMode ?? .windowed)
        }
    }
}
