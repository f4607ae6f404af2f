// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
package import Logging
internal import Netfilter
package import Wire

/// Closes the connections of an address that is locked out.
package struct LockoutEnforcer: Sendable {
    private let logger: Logger

    package init(logger: Logger) {
        self.logger = logger
    }

    /// Destroys this host's sockets, then removes the tracked connections, including forwarded ones.
    ///
    /// The sockets go first so that the peer's RST still finds its tracked connection. Without tracked connections, no
    /// further packet counts as part of a verified connection.
    ///
    /// - Parameters:
    ///   - address: The address that is locked out.
    ///   - ports: The protected ports.
    package func enforce(on address: IPAddress, ports: [UInt16]) {
        var destroyed = 0
        var removed = 0
        do throws(SystemError) {
            for port in ports {
                destroyed += try SocketDestroyer.destroyConnections(from: address, toPort: port)
            }
        } catch {
            logger.error(
                "sockets not closed: \(SocketDestroyer.explanation(of: error))", metadata: ["client": "\(address)"])
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
