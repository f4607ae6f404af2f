// SPDX-License-Identifier: GPL-2.0-or-later
import Glibc
import Netfilter
import Wire

/// A listening TCP socket on the loopback interface.
final class LoopbackListener {
    let descriptor: Int32
    let port: UInt16

    /// Listens at all addresses of both families.
    init(port: UInt16) {
        self.port = port
        descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        var no: Int32 = 0
        setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &no, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        precondition(result == 0 && listen(descriptor, 10) == 0)
    }

    deinit { close(descriptor) }
}

/// Both ends of an established TCP connection on the loopback interface.
final class LoopbackConnection {
    let client: Int32
    let server: Int32
    let flow: Flow

    init(_ family: IPFamily, to listener: LoopbackListener) {
        client = socket(family == .ipv4 ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        var local = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let host: IPAddress
        switch family {
        case .ipv4:
            host = IPAddress(127, 0, 0, 1)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = listener.port.bigEndian
            address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
            Self.connect(client, address)
        case .ipv6:
            host = IPAddress(high: 0, low: 1)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = listener.port.bigEndian
            address.sin6_addr = in6addr_loopback
            Self.connect(client, address)
        }
        server = accept(listener.descriptor, nil, nil)
        precondition(server >= 0)
        // The port stands at the same place for both families.
        let client = client
        let port = withUnsafeMutableBytes(of: &local) { bytes in
            getsockname(client, bytes.bindMemory(to: sockaddr.self).baseAddress, &length)
            return UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        }
        flow = Flow(clientAddress: host, clientPort: port, serverAddress: host, serverPort: listener.port)
    }

    deinit {
        close(client)
        close(server)
    }

    /// Sends so many bytes from the client, and has the server read them.
    func send(_ count: Int) {
        var bytes = [UInt8](repeating: 1, count: count)
        precondition(Glibc.send(client, bytes, count, 0) == count)
        precondition(recv(server, &bytes, count, Int32(MSG_WAITALL)) == count)
    }

    /// The error number with which a reader at one end finds the connection gone; 0 if it is there, or ended in order.
    func error(at end: Int32) -> Int32 {
        var byte: UInt8 = 0
        return recv(end, &byte, 1, Int32(MSG_DONTWAIT)) < 0 ? errno : 0
    }

    private static func connect<Address>(_ descriptor: Int32, _ address: Address) {
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        precondition(result == 0)
    }
}
