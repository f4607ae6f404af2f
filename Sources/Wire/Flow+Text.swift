// SPDX-License-Identifier: GPL-2.0-or-later

extension Flow: CustomStringConvertible {
    /// The client's endpoint, as `address:port` or `[address]:port`.
    public var client: String { Self.text(clientAddress, clientPort) }

    /// The server's endpoint, as `address:port` or `[address]:port`.
    public var server: String { Self.text(serverAddress, serverPort) }

    /// Both endpoints, as `client -> server`.
    public var description: String { "\(client) -> \(server)" }

    private static func text(_ address: IPAddress, _ port: UInt16) -> String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
