// SPDX-License-Identifier: GPL-2.0-or-later
internal import KnockEngine
internal import Wire

extension Flow {
    /// The client's end, as `address:port` or `[address]:port`.
    var client: String { Self.text(clientAddress, clientPort) }

    /// The server's end, as `address:port` or `[address]:port`.
    var server: String { Self.text(serverAddress, serverPort) }

    private static func text(_ address: IPAddress, _ port: UInt16) -> String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
