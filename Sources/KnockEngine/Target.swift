// SPDX-License-Identifier: GPL-2.0-or-later
public import KnockProtocol
public import Wire

/// Servers that a client knocks at, and how.
public struct Target: Sendable {
    /// Which address a code is bound to.
    public enum Binding: Equatable, Sendable {
        /// The client's own, as it stands in its packets.
        case ownAddress
        /// The one that servers see instead, for each family; the own one where there is none.
        case natAddresses([IPFamily: IPAddress])
        /// None (docs/PROTOCOL.md §4.2).
        case none
    }

    /// What its handshakes are known by.
    public let id: KeyID
    /// The keys.
    public let keys: KeySchedule
    /// Where the servers are.
    public let prefixes: [IPPrefix]
    /// The protected ports.
    public let ports: [UInt16]
    /// Which address codes are bound to.
    public let binding: Binding
    /// The mask to ask for; nil chooses full where codes are bound to the own address, else windowed.
    public let maskMode: MaskMode?
    /// Whether a SYN/ACK without a right proof is dropped.
    public let requiresProof: Bool
    /// Whether codes depend on the time.
    public let usesTime: Bool
    /// Whether the SYN says which key its code was made with.
    public let sendsHint: Bool

    /// Takes all of it.
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

    /// `A` and `C` of a SYN, and the mask that it asks for.
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

/// All targets of a client; where several fit, the one with the longest prefix.
struct TargetList {
    /// A prefix of a target, by the target's position.
    private struct Route {
        let prefix: IPPrefix
        let position: Int
    }

    let targets: [Target]
    private let routes: [Route]
    private let ports: PortSet

    init(_ targets: [Target]) {
        self.targets = targets
        let routes = targets.enumerated().flatMap { position, target in
            target.prefixes.map { Route(prefix: $0, position: position) }
        }
        self.routes = routes.sorted { left, right in
            let (longer, shorter) = (left.prefix.mappedLength, right.prefix.mappedLength)
            return longer == shorter ? left.position < right.position : longer > shorter
        }
        ports = PortSet(targets.flatMap(\.ports))
    }

    /// Says whether any target has a port.
    func hasPort(_ port: UInt16) -> Bool { ports.contains(port) }

    /// Finds the target that a server belongs to; nil if there is none.
    func position(of flow: Flow) -> Int? {
        for route in routes
        where route.prefix.contains(flow.serverAddress) && targets[route.position].ports.contains(flow.serverPort) {
            return route.position
        }
        return nil
    }

    /// Finds a target; nil if it is no longer one.
    func position(of id: KeyID) -> Int? {
        targets.firstIndex { $0.id == id }
    }
}
