// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Logging
internal import NetfilterQueue
package import Wire

/// Closes the connections of an address to the protected ports, wherever they end.
package struct ConnectionCloser {
    private let ports: [UInt16]
    private let logger: Logger

    /// Takes the protected ports.
    package init(ports: [UInt16], logger: Logger) {
        self.ports = ports
        self.logger = logger
    }

    /// Destroys this host's sockets first, so that the peer's RST still finds its tracked connection; then removes the
    /// tracked connections, of forwarded ones too, so that nothing of them is verified any longer.
    package func closeConnections(from address: IPAddress) {
        var destroyed = 0
        var removed = 0
        do throws(SystemError) {
            for port in ports {
                destroyed += try SocketDestroyer.destroyConnections(from: address, toPort: port)
            }
        } catch {
            let advice =
                error.number == EOPNOTSUPP
                ? "this kernel lacks CONFIG_INET_DIAG_DESTROY: existing connections are cut off but not closed" : ""
            logger.error("sockets not closed: \(error) \(advice)", metadata: ["client": "\(address)"])
        }
        do throws(SystemError) {
            removed = try ConntrackTable.removeConnections(from: address, toPorts: ports)
        } catch {
            logger.error("tracked connections not removed: \(error)", metadata: ["client": "\(address)"])
        }
        logger.notice(
            "connections closed",
            metadata: ["client": "\(address)", "sockets": "\(destroyed)", "tracked": "\(removed)"])
    }
}
