// SPDX-License-Identifier: GPL-2.0-or-later

/// The two ends of a connection, the one that sent the SYN first.
public struct Flow: Hashable, Sendable {
    /// The address of the end that sent the SYN.
    public let clientAddress: IPAddress
    /// The address of the end that answers it.
    public let serverAddress: IPAddress
    /// The port of the end that sent the SYN.
    public let clientPort: UInt16
    /// The port of the end that answers it.
    public let serverPort: UInt16

    /// Names both ends.
    @inlinable @inline(__always)
    public init(clientAddress: IPAddress, clientPort: UInt16, serverAddress: IPAddress, serverPort: UInt16) {
        self.clientAddress = clientAddress
        self.clientPort = clientPort
        self.serverAddress = serverAddress
        self.serverPort = serverPort
    }

    /// The flow of a packet that the client sent.
    @inlinable @inline(__always)
    public init(fromClient packet: borrowing Packet) {
        self.init(
            clientAddress: packet.source, clientPort: packet.segment.sourcePort,
            serverAddress: packet.destination, serverPort: packet.segment.destinationPort)
    }

    /// The flow of a packet that the server sent.
    @inlinable @inline(__always)
    public init(fromServer packet: borrowing Packet) {
        self.init(
            clientAddress: packet.destination, clientPort: packet.segment.destinationPort,
            serverAddress: packet.source, serverPort: packet.segment.sourcePort)
    }
}
