// SPDX-License-Identifier: GPL-2.0-or-later
internal import Wire

/// All targets of a client; if several match a server, the one with the longest prefix is used.
struct TargetList {
    /// A prefix, and the position of the target that it belongs to.
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

    /// Returns whether any target has a port.
    func hasPort(_ port: UInt16) -> Bool { ports.contains(port) }

    /// Finds the target that a server belongs to; nil if there is none.
    func position(of flow: Flow) -> Int? {
        for route in routes
        where route.prefix.contains(flow.serverAddress) && targets[route.position].ports.contains(flow.serverPort) {
            return route.position
        }
        return nil
    }

    /// Finds a target by its id; nil if it has been removed.
    func position(of id: KeyID) -> Int? {
        targets.firstIndex { $0.id == id }
    }
}
