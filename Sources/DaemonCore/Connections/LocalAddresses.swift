// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import Linux
internal import Wire

/// Which addresses this host's sockets can have; asks the kernel for each once.
struct LocalAddresses {
    private var known: [IPAddress: Bool] = [:]

    /// Whether a socket of this host can have an address; true if that cannot be known.
    mutating func contains(_ address: IPAddress) -> Bool {
        if let answer = known[address] { return answer }
        let answer = Self.ask(address)
        known[address] = answer
        return answer
    }

    /// Binds a socket to the address; nothing is ever sent from it.
    private static func ask(_ address: IPAddress) -> Bool {
        let name = SocketAddress(address)
        let descriptor = socket(name.family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        do throws(SystemError) {
            try name.bind(descriptor)
            return true
        } catch {
            return error.number != EADDRNOTAVAIL
        }
    }
}
