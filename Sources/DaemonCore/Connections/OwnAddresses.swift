// SPDX-License-Identifier: GPL-2.0-or-later
internal import Glibc
internal import KeyFiles
internal import Wire

/// Determines which addresses belong to this host.
///
/// Caches each answer.
struct OwnAddresses {
    private var known: [IPAddress: Bool] = [:]

    /// Returns whether sockets of this host can have the address; true if that is unknown.
    mutating func contains(_ address: IPAddress) -> Bool {
        if let answer = known[address] { return answer }
        let answer = Self.ask(address)
        known[address] = answer
        return answer
    }

    /// Tries to bind a socket to the address.
    ///
    /// Nothing is sent from it.
    private static func ask(_ address: IPAddress) -> Bool {
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        if let ipv4 = address.ipv4 {
            var end = sockaddr_in()
            end.sin_family = sa_family_t(AF_INET)
            end.sin_addr.s_addr = ipv4.bigEndian
            return isBound(descriptor, end)
        }
        var end = sockaddr_in6()
        end.sin6_family = sa_family_t(AF_INET6)
        unsafe withUnsafeMutableBytes(of: &end.sin6_addr) { bytes in
            unsafe bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return isBound(descriptor, end)
    }

    private static func isBound<Address>(_ descriptor: Int32, _ end: Address) -> Bool {
        let result = unsafe withUnsafePointer(to: end) { end in
            unsafe end.withMemoryRebound(to: sockaddr.self, capacity: 1) { end in
                unsafe bind(descriptor, end, socklen_t(MemoryLayout<Address>.size))
            }
        }
        return result == 0 || errno != EADDRNOTAVAIL
    }
}
