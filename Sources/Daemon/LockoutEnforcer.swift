// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
package import Logging
internal import NetfilterQueue
package import Wire

/// Makes the kernel enforce a lockout: no packet of the address comes in, and its connections are closed.
package struct LockoutEnforcer: Sendable {
    private let queue: UInt16
    private let logger: Logger

    /// Takes what the firewall rules were told too.
    ///
    /// - Parameters:
    ///   - queue: The first queue, which the address sets of the rules are named after.
    ///   - logger: Where it says what it did.
    package init(queue: UInt16, logger: Logger) {
        self.queue = queue
        self.logger = logger
    }

    /// Drops what comes from the address in the kernel, where the rules have a set for it; the engine drops it anyway.
    ///
    /// Then destroys this host's sockets, so that the peer's RST still finds its tracked connection; then removes the
    /// tracked connections, of forwarded ones too, so that nothing of them is verified any longer.
    ///
    /// - Parameters:
    ///   - address: Who is locked out.
    ///   - ports: The protected ports.
    ///   - seconds: For how long.
    package func enforce(on address: IPAddress, ports: [UInt16], seconds: UInt32) {
        addToSet(address, seconds: seconds)
        var destroyed = 0
        var removed = 0
        do throws(SystemError) {
            for port in ports {
                destroyed += try SocketDestroyer.destroyConnections(from: address, toPort: port)
            }
        } catch {
            logger.error("sockets not closed: \(Self.text(error))", metadata: ["client": "\(address)"])
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

    /// What a failure to close sockets means.
    static func text(_ error: SystemError) -> String {
        guard error.number == EOPNOTSUPP else { return error.description }
        return "\(error): this kernel lacks CONFIG_INET_DIAG_DESTROY, so they are cut off but not closed"
    }

    /// Lets packets of an address in again; the engine has been told already.
    package func release(_ address: IPAddress) {
        do throws(SystemError) {
            try AddressSet.remove(address, from: setName(address))
        } catch {
            logger.error("not taken out of the address set: \(error)", metadata: ["client": "\(address)"])
        }
    }

    private func setName(_ address: IPAddress) -> String { "tcpknock-\(queue)-\(address.family.rawValue)" }

    private func addToSet(_ address: IPAddress, seconds: UInt32) {
        let name = setName(address)
        do throws(SystemError) {
            try AddressSet.add(address, to: name, seconds: seconds)
        } catch {
            logger.debug("no address set: \(error)", metadata: ["set": "\(name)"])
        }
    }
}
