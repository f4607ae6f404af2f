// SPDX-License-Identifier: GPL-2.0-or-later

/// The two endpoints of a connection: the client, which sent the SYN, and the server.
public struct Flow: Hashable, Sendable {
    /// The address of the endpoint that sent the SYN.
    public let clientAddress: IPAddress
    /// The address of the endpoint that answers it.
    public let serverAddress: IPAddress
    /// The port of the endpoint that sent the SYN.
    public let clientPort: UInt16
    /// The port of the endpoint that answers it.
    public let serverPort: UInt16

    @inlinable @inline(__always)
    public init(clientAddress: IPAddress, clientPort: UInt16, serverAddress: IPAddress, serverPort: UInt16) {
        self.clientAddress = clientAddress
        self.clientPort = clientPort
        self.serverAddress = serverAddress
        self.serverPort = serverPort
    }

    /// Creates the flow of a packet that the client sent.
    @inlinable @inline(__always)
    public init(fromClient packet: borrowing Packet) {
        self.init(
            clientAddress: packet.source, clientPort: packet.segment.sourcePort,
            serverAddress: packet.destination, serverPort: packet.segment.destinationPort)
    }

    /// Creates the flow of a packet that the server sent.
    @inlinable @inline(__always)
    public init(fromServer packet: borrowing Packet) {
        self.init(
            clientAddress: packet.destination, clientPort: packet.segment.destinationPort,
            serverAddress: packet.source, serverPort: packet.segment.sourcePort)
    }
}
