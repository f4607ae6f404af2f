// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Logging
internal import NetfilterQueue
package import Wire

/// Makes the kernel enforce a lockout: no packet of the address comes in, and its connections are closed.
package struct LockoutEnforcer: Sendable {
    private let ports: [UInt16]
    private let seconds: UInt32
    private let queue: UInt16
    private let logger: Logger

    /// Takes what the firewall rules were told too.
    ///
    /// - Parameters:
    ///   - ports: The protected ports.
    ///   - seconds: How long a lockout lasts.
    ///   - queue: The first queue, which the address sets of the rules are named after.
    ///   - logger: Where it says what it did.
    package init(ports: [UInt16], seconds: UInt32, queue: UInt16, logger: Logger) {
        self.ports = ports
        self.seconds = seconds
        self.queue = queue
        self.logger = logger
    }

    /// Drops what comes from the address in the kernel, where the rules have a set for it; the engine drops it anyway.
    ///
    /// Then destroys this host's sockets, so that the peer's RST still finds its tracked connection; then removes the
    /// tracked connections, of forwarded ones too, so that nothing of them is verified any longer.
    package func enforce(on address: IPAddress) {
        addToSet(address)
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

    private func addToSet(_ address: IPAddress) {
        let name = "tcpknock-\(queue)-\(address.family.rawValue)"
        do throws(SystemError) {
            try AddressSet.add(address, to: name, seconds: seconds)
        } catch {
            logger.debug("no address set: \(error)", metadata: ["set": "\(name)"])
        }
    }
}
